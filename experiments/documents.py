"""Questions to documents, for the lesson that asks them: Qwen answers without any text and from retrieved passages.

    PYTHONPATH=. python experiments/documents.py            (half an hour on two cores)

Writes llmcourse/measured/documents.json. The documents are the notes on data sets that scikit-learn and statsmodels
bring along. The questions were written by hand after reading the notes and before any search: `ANSWERED` holds name of
the document, question, accepted answers and a piece of the sentence that says so; `UNSAID` asks what a document might
say and does not; `FOREIGN` asks what no document is about. Documents, and their questions with them, are drawn into
validation and test. Each prompt gets the passages that the library finds; greedy, so nothing else is drawn. Goes on
where it was interrupted.
"""
import argparse
import hashlib

import numpy as np
import torch
from tqdm import tqdm

from _store import MEASURED, rows_begun, write
from llmcourse.chat import chat_tokens, open_chat
from llmcourse.documents import WORDINGS, Library, dataset_notes, messages_for
from llmcourse.training import provenance

TARGET, BATCH, MOST, PASSAGES = MEASURED/"documents.json", 8, 30, 3
ANSWERED = (
    ("anes96", "How many people are in the American election survey of 1996?", "944", "Number of observations - 944"),
    ("anes96", "Which degree does code 7 stand for in the schooling of voters?", "PhD", "7 - PhD"),
    ("cancer", "Whose book on empirical likelihood used the counts of breast cancer by county?", "Owen", "Owen's"),
    ("china_smoking", "In how many Chinese cities were smoking and lung cancer counted together?", "8|eight",
     "lung cancer and smoking in 8 Chinese cities|Number of Observations - 8"),
    ("china_smoking", "In which year did Liu publish on smoking and lung cancer?", "1992", "197-201, (1992)"),
    ("co2", "How often in an hour was carbon dioxide measured on Hawaii?", "four|4", "four measurements per hour"),
    ("co2", "What kind of instrument measured the carbon dioxide at Mauna Loa?", "gas analyzer", "gas analyzer"),
    ("committee", "How many committees of the House are in the data about bills?", "20",
     "over 20 Committees|Number of Observations - 20"),
    ("copper", "Which metal can take the place of copper, by the market data?", "aluminum", "substitute, aluminum"),
    ("copper", "In which unit is the world's use of copper given?", "1000 metric tons", "in 1000 metric tons"),
    ("cpunish", "In how many American states were people executed in 1997?", "17",
     "executions in 17 states|Number of Observations - 17"),
    ("danish_data", "Who published the study of Danish demand for money in 1990?", "Johansen|Juselius",
     "Johansen, S."),
    ("elec_equip", "Which office published the turnover of makers of electrical equipment?", "Eurostat",
     "(Eurostat)|Eurostat;"),
    ("elnino", "Between which degrees west was the temperature of the Pacific taken?", "90-80|80-90|90 and 80",
     "90-80 degrees West"),
    ("elnino", "In which year do the monthly temperatures of the sea surface begin?", "1950", "from 1950 to 2010"),
    ("engel", "In which country did the working class families live whose spending on food was noted?", "Belgium",
     "in 1857 Belgium"),
    ("engel", "How many households told Engel what they spend on food?", "235",
     "235 working class|Number of observations: 235"),
    ("fair", "How many people are in the data on extramarital affairs?", "6366", "Number of observations: 6366"),
    ("fair", "What does 5 mean when people rate their marriage?", "very good", "5 = very good"),
    ("fertility", "Until when is a woman assumed to live for the total fertility rate?", "childbearing",
     "end of her childbearing years"),
    ("fertility", "How many rows does the fertility data of the World Bank have?", "219",
     "Number of observations: 219"),
    ("grunfeld", "How many American firms are in the investment data of 1950?", "11|eleven",
     "11 U.S. Firms|11 firms|11-firm"),
    ("grunfeld", "Who recreated Grunfeld's data in 2008?", "Kleiber|Zeileis", "Kleiber and Zeileis"),
    ("heart", "How many patients are in the survival data on new hearts?", "69", "Number of Observations - 69"),
    ("heart", "Who wrote about least squares with censored data in 1976?", "Miller", "Miller, R."),
    ("interest_inflation", "In which year does the series of German inflation begin?", "1972", "1972Q2|1972q2"),
    ("longley", "What are Longley's economic numbers used to judge?", "least squares", "accuracy of least squares"),
    ("longley", "In which year do Longley's numbers end?", "1962", "1947 - 1962"),
    ("macrodata", "Who put together the quarterly data on the economy of the United States?", "Seabold",
     "Compiled by Skipper Seabold"),
    ("macrodata", "Where does the unemployment rate in the American quarterly data come from?",
     "Bureau of Labor Statistics", "Bureau of Labor Statistics"),
    ("modechoice", "Between which Australian cities did the travellers choose plane, car, bus or train?", "Canberra",
     "Sydney, Canberra and Melbourne"),
    ("modechoice", "Which way of travelling in Australia was sampled less than its share?", "car",
     "under-sampling of the more popular mode, car"),
    ("nile", "How many years of the flow at Aswan were measured?", "100", "for 100 years|Number of observations: 100"),
    ("nile", "Who was first to analyze the flow of the river at Aswan?", "Cobb", "Cobb, G. W."),
    ("randhie", "Which corporation ran the experiment on health insurance?", "RAND", "the RAND corporation"),
    ("randhie", "What is the variable that counts chronic diseases called?", "disea", "disea - number"),
    ("scotland", "Into how many districts was the vote on taxes in Scotland divided?", "32",
     "32 council districts|1 for each Scottish"),
    ("scotland", "Who wrote the book from which the example of the Scottish vote is taken?", "Gill",
     "Jeff Gill|example in Gill"),
    ("spector", "At which university does the owner of the data on personalized teaching work?", "Ball State",
     "Ball State University"),
    ("spector", "How many students took part in the study of personalized instruction in economics?", "32",
     "Number of Observations - 32"),
    ("stackloss", "For how many days was the ammonia plant measured?", "21",
     "21 days of measurements|Number of Observations - 21"),
    ("stackloss", "What does the plant turn ammonia into?", "nitric acid", "ammonia to nitric acid"),
    ("star98", "Which test did Californian pupils sit in 1998?", "Stanford 9", "Stanford 9"),
    ("statecrime", "Which states leave forcible rape out of their violent crimes?", "Illinois",
     "Illinois and Minnesota"),
    ("statecrime", "How many people must live in an area for it to count as urbanized?", "50,000|50000", "50,000"),
    ("strikes", "Why were only strikes of June kept?", "seasonal", "avoid seasonal issues"),
    ("sunspots", "Since which year are the spots on the sun counted?", "1700", "1700-2008|1700 - 2008"),
    ("breast_cancer", "How many of the breast tumours were malignant?", "212", "212 - Malignant"),
    ("breast_cancer", "How were the cells of the breast taken?", "fine needle", "fine needle"),
    ("california_housing", "From which census do the values of Californian homes come?", "1990", "1990 U.S. census"),
    ("california_housing", "How many people live in a typical block group?", "600 to 3,000|600-3,000|600 to 3000",
     "600 to 3,000 people"),
    ("covtype", "How large is each patch of forest whose trees are to be predicted?", "30×30|30x30|30 x 30", "30×30"),
    ("covtype", "How many kinds of forest are told apart?", "seven|7", "seven covertypes|Classes 7"),
    ("diabetes", "How many people with diabetes were examined?", "442", "442"),
    ("diabetes", "How many measurements were taken of the blood serum?", "six|6", "six blood serum"),
    ("digits", "How many people wrote the digits?", "43", "43 people"),
    ("digits", "Whose programs turned the filled-in forms into bitmaps?", "NIST", "made available by NIST"),
    ("iris", "Who donated the data on iris flowers?", "Marshall", "Michael Marshall"),
    ("iris", "How many wrong points does the UCI copy of Fisher's flowers have?", "two|2", "two wrong data points"),
    ("kddcup99", "Which laboratory made the data on intrusions into a network?", "Lincoln", "MIT Lincoln Lab"),
    ("kddcup99", "What share of the network data is abnormal?", "80.1", "80.1%"),
    ("lfw", "Which face detector cut out the faces of famous people?", "Viola-Jones|Viola Jones",
     "Viola-Jones|this face"),
    ("linnerud", "How many men of a fitness club were measured?", "twenty|20",
     "twenty middle-aged men|20 observations"),
    ("olivetti_faces", "How many people were photographed at the laboratories in Cambridge?", "40",
     "40 distinct|Classes 40"),
    ("olivetti_faces", "What was behind the people whose faces were photographed by AT&T?", "dark", "dark"),
    ("rcv1", "How large is the compressed download of the Reuters stories?", "656", "656 MB"),
    ("rcv1", "How many topics may a single Reuters story have at most?", "17", "up to 17"),
    ("species_distributions", "Which sloth was mapped in South America?", "Brown-throated|Bradypus|brown throated",
     "Bradypus variegatus|Brown-throated"),
    ("twenty_newsgroups", "Which baseball team decided to change its name?", "Cleveland", "Cleveland Indians"),
    ("wine_data", "In which country were the wines grown?", "Italy", "region in Italy"),
    ("wine_data", "How many measurements of the constituents of wine are there?", "thirteen|13", "thirteen|13 numeric"),
)
UNSAID = (
    ("anes96", "Which television channel did people in the 1996 election survey watch most?"),
    ("cancer", "In which state are the counties with the counts of breast cancer?"),
    ("china_smoking", "Which brand of cigarettes was smoked most in the Chinese cities?"),
    ("co2", "How high above the sea is the observatory at Mauna Loa?"),
    ("committee", "Which committee of the House was assigned the most bills in 1995?"),
    ("copper", "Which country produced the most copper in 1975?"),
    ("cpunish", "Which method of execution was used most in 1997?"),
    ("danish_data", "Which bank sets the deposit rate in Denmark?"),
    ("elnino", "How many fishermen lost their work because of El Nino?"),
    ("engel", "How many children did the Belgian households have?"),
    ("fair", "What share of the marriages ended in divorce?"),
    ("fertility", "Which country has the highest fertility rate?"),
    ("grunfeld", "Who led General Motors in 1950?"),
    ("heart", "In which hospital were the hearts transplanted?"),
    ("longley", "At which university did Longley teach?"),
    ("macrodata", "Who was president of the United States when the quarterly data begin?"),
    ("modechoice", "How long does the train from Sydney to Melbourne take?"),
    ("nile", "Which dam was built on the Nile in 1898?"),
    ("randhie", "How much money did the RAND experiment on health insurance cost?"),
    ("scotland", "Which Scottish district had the most votes for yes?"),
    ("stackloss", "Which company owned the ammonia plant?"),
    ("star98", "How many pupils of Los Angeles failed the mathematics test?"),
    ("strikes", "Which union led the longest strike?"),
    ("sunspots", "How hot is a spot on the sun?"),
    ("breast_cancer", "How old were the women with malignant tumours?"),
    ("california_housing", "In which town was the most expensive Californian home?"),
    ("diabetes", "Which drug did the people with diabetes take?"),
    ("digits", "Which pen were the digits written with?"),
    ("iris", "In which meadow did Fisher's flowers grow?"),
    ("kddcup99", "Who was caught breaking into the network?"),
    ("lfw", "Which famous person has the most pictures?"),
    ("olivetti_faces", "Which camera took the pictures of faces at AT&T?"),
    ("rcv1", "How many journalists wrote the Reuters stories?"),
    ("wine_data", "In which year were the Italian wines harvested?"),
)
FOREIGN = ("What is the capital of Mongolia?", "How do I reset my password?", "Who painted the Mona Lisa?",
           "When does the last train to Berlin leave?", "How many strings does a violin have?",
           "Which planet has the most moons?", "How much is a ticket to the zoo?", "Who wrote Hamlet?")


def questions(names: list[str]) -> list[dict]:
    "All questions with their split. Half of the documents, drawn at random, are for validation."
    half = set(np.random.default_rng(0).permutation(names)[:len(names) // 2].tolist())
    rows = [{"document": document, "question": question, "answers": answers.split("|"), "quotes": quotes.split("|"),
             "kind": "answered"} for document, question, answers, quotes in ANSWERED]
    rows += [{"document": document, "question": question, "kind": "unsaid"} for document, question in UNSAID]
    for row in rows: row["split"] = "validation" if row["document"] in half else "test"
    return rows + [{"document": f"foreign {i}", "question": question, "kind": "foreign",
                    "split": ("validation", "test")[i % 2]} for i, question in enumerate(FOREIGN)]


@torch.inference_mode()
def answers(model, tokenizer, prompts: list[list[int]]) -> list[str]:
    "The greedy answers to a batch of prompts."
    width, pad = max(map(len, prompts)), tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=model.device)
    out = model.generate(ids, attention_mask=mask, max_new_tokens=MOST, do_sample=False, temperature=None, top_p=None,
                         top_k=None, pad_token_id=pad)
    return [text.strip() for text in tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=TARGET, type=type(TARGET))
    out, notes = parser.parse_args().out, dataset_notes()
    library = Library()
    for name, (title, text) in notes.items(): library.add(name, text, title)
    asked = questions(list(notes))
    settings = {"notes": hashlib.sha256(repr(notes).encode()).hexdigest(), "wordings": WORDINGS, "passages": PASSAGES,
                "questions": len(asked), "max_new_tokens": MOST, "model": "qwen"}
    rows = rows_begun(out, settings, parser) or asked
    for row in rows:
        hits = library.search(row["question"], PASSAGES)
        row |= {"passages": [[hit.passage.document, hit.passage.start] for hit in hits], "said": row.get("said", {})}
    model, tokenizer = open_chat("qwen")
    about = provenance("python experiments/documents.py", [0], **settings)
    for wording in WORDINGS:
        left = [row for row in rows if wording not in row["said"]]
        for start in tqdm(range(0, len(left), BATCH), desc=wording, mininterval=20):
            some = left[start:start + BATCH]
            prompts = [messages_for(row["question"], library.search(row["question"], PASSAGES), wording)
                       for row in some]
            said = answers(model, tokenizer, [chat_tokens(tokenizer, prompt) for prompt in prompts])
            for row, text in zip(some, said): row["said"][wording] = text
            write(out, {"about": about, "rows": rows})


if __name__ == "__main__": main()
