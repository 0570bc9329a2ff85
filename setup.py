"""Package metadata lives in settings.ini, which nbdev reads too; this file hands it to setuptools."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(root/"settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

extras = {name.removesuffix("_requirements"): settings[name].split()
          for name in settings if name.endswith("_requirements")}
extras["all"] = sorted({package for name, packages in extras.items() if name != "dev" for package in packages})
extras["dev"] = sorted({*extras["dev"], *extras["all"]})

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(root/"README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    author_email=settings["author_email"],
    url=settings["git_url"],
    keywords=settings["keywords"],
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Developers", "Intended Audience :: Education",
                 "Natural Language :: English", "Programming Language :: Python :: 3"],
    packages=find_packages(include=["llmcourse", "llmcourse.*"]),
    package_data={"llmcourse": ["borrowed/*", "course_gpt/*", "measured/*", "migrations/*.mako", "mpnet_reviews/*",
                                "qwen_reviews/*", "templates/*"]},
    python_requires=f">={settings['min_python']}",
    install_requires=settings["requirements"].split(),
    extras_require=extras,
    entry_points={"console_scripts": settings["console_scripts"].split("\n"),
                  "nbdev": [f"{settings['lib_name']}={settings['lib_path']}._modidx:d"]},
    zip_safe=False,
)
