"""`python -m llmcourse NAME`: the program `llmcourse`; in a checkout also each target of the Makefile, without make."""
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":                     # a process that is started beside this one imports the file, too
    top = Path(__file__).resolve().parent.parent
    if (top/"settings.ini").is_file(): runpy.run_path(str(top/"tools"/"tasks.py"))["main"](sys.argv[1:])
    from llmcourse.cli import main
    main()
