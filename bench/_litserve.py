"""What LitServe serves in `bench/serving.py`: a module of its own, because its worker is a new process."""
import litserve as ls

from llmcourse.serving import Predictor


class Sentences(ls.LitAPI):
    def setup(self, device): self.predictor = Predictor(self.folder)
    def decode_request(self, request): return request["text"]
    def predict(self, texts): return self.predictor(texts)
    def encode_response(self, output): return output
