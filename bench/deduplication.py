"""Near-duplicate search by MinHash LSH, ours beside datasketch: same texts, same parameters, same candidate pairs.

    OMP_NUM_THREADS=1 python bench/deduplication.py

The 23,703 sentences of the four sets as collected, less four that are punctuation only. Each contender runs in a
process of its own, from texts to the set of candidate pairs, and both cut the texts with the same function.
datasketch runs the way its documentation calls fastest: sketches in bulk, insertion without the check for known keys.
It runs twice, with its own hash function as it comes, and with that function remembering the shingles it has seen, as
ours does; the ratio is against the faster one. Times are of the processor, one thread each, so that a busy machine
disturbs them little. """
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"): os.environ[variable] = "1"

REPETITIONS, THRESHOLD, NUM_PERM, N = 5, 0.8, 128, 3

def ours(texts, bands, rows):
    from llmcourse.deduplication import candidate_pairs, signatures
    return candidate_pairs(signatures(texts, NUM_PERM, N), bands, rows)

def theirs(texts, bands, rows, remember=False):
    from datasketch import MinHash, MinHashLSH
    from datasketch.hashfunc import sha1_hash32
    from llmcourse.deduplication import shingles
    hash_of = functools.cache(sha1_hash32) if remember else sha1_hash32
    sketches = MinHash.bulk(
        ([s.encode() for s in shingles(text, N)] for text in texts), num_perm=NUM_PERM, seed=1, hashfunc=hash_of
    )
    index, pairs = MinHashLSH(num_perm=NUM_PERM, params=(bands, rows)), set()
    for key, sketch in enumerate(sketches):
        pairs.update((other, key) for other in index.query(sketch))
        index.insert(key, sketch, check_duplication=False)
    return pairs

CONTENDERS = {
    "ours": ours,
    "datasketch": theirs,
    "datasketch, hashes remembered": functools.partial(theirs, remember=True),
}

def megabytes(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def measure(name):
    "Run one contender, and print what it took as JSON."
    import datasketch  # noqa: F401  so that both start with the same modules in memory
    from llmcourse.data import SOURCES, load_data
    from llmcourse.deduplication import bands_and_rows, normal_form
    texts = [text for source in SOURCES for split in load_data(source).values() for text in split["text"]]
    texts = [text for text in texts if normal_form(text)]
    bands, rows = bands_and_rows(THRESHOLD, NUM_PERM)
    before, seconds = megabytes(), []
    for _ in range(REPETITIONS):
        started = time.process_time()
        pairs = CONTENDERS[name](texts, bands, rows)
        seconds.append(time.process_time() - started)
    print(
        json.dumps(
            {
                "texts": len(texts),
                "bands": bands,
                "rows": rows,
                "seconds": seconds,
                "memory": megabytes() - before,
                "pairs": sorted(pairs),
            }
        )
    )

def main():
    found = {}
    for name in CONTENDERS:
        done = subprocess.run([sys.executable, __file__, name], stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    reference = found["ours"]
    print(
        f"{reference['texts']:,} sentences, threshold {THRESHOLD}, {NUM_PERM} permutations in {reference['bands']} "
        f"bands of {reference['rows']}, "
        f"shingles of {N} characters; processor seconds of one thread, median of {REPETITIONS}"
    )
    medians = {name: statistics.median(run["seconds"]) for name, run in found.items()}
    for name, run in found.items():
        assert run["pairs"] == reference["pairs"], f"{name} finds other pairs"
        print(
            f"{name:30} {medians[name]:6.2f} s ({min(run['seconds']):.2f} to {max(run['seconds']):.2f})  "
            f"{run['texts'] / medians[name]:8,.0f} sentences/s"
            f"  {run['memory']:5.0f} MB more at the peak  {len(run['pairs'])} candidate pairs"
        )
    ratio = min(seconds for name, seconds in medians.items() if name != "ours") / medians["ours"]
    print(f"throughput, ours / the faster datasketch: {ratio:.2f} (at least 1 wanted)")
    assert ratio >= 1

if __name__ == "__main__": measure(sys.argv[1]) if len(sys.argv) > 1 else main()
