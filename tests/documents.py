#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks all Markdown files of the project: documents.py <project>

Without it a link could lead nowhere, a sentence stand in two places of which one gets stale, or
README.md grow until nobody finds anything in it.
"""

import collections
import json
import pathlib
import re
import sys

README_LINES = 250
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text):
    """Of the headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", FENCED.sub("", text), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = sum(re.fullmatch(re.escape(anchor) + r"(-\d+)?", other) is not None for other in found)
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def sentences(text):
    """Of at least eight words; a table's cell or a line of a list is one, too."""
    text = re.sub(r"<!-- benchmark:begin.*?benchmark:end -->", "", FENCED.sub("", text), flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n|\n(?=[|#]|- |\d+\. )|\|", text):
        for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(paragraph.split())):
            if len(sentence.split()) >= 8:
                yield sentence.strip("-*. ")


def check(project):
    folders = ("include", "src", "tests", "cmake", ".github")
    files = [project / "README.md"]
    files += [file for folder in folders for file in sorted((project / folder).rglob("*.md"))]
    texts = {file.resolve(): file.read_text(encoding="utf-8") for file in files}
    places = collections.defaultdict(list)
    for file, text in texts.items():
        name = file.relative_to(project)
        for target in LINK.findall(re.sub(r"`[^`\n]*`", "code", FENCED.sub("", text))):
            if re.match(r"[a-z]+://", target):
                continue
            path, _, anchor = target.partition("#")
            other = (file.parent / path).resolve() if path else file
            if not other.exists():
                yield f"{name}: no file {target}"
            elif anchor and anchor not in anchors(texts.get(other, "")):
                yield f"{name}: no heading {target}"
        for sentence in sentences(text):
            places[sentence].append(str(name))
        for language, block in FENCED.findall(text):
            if language == "json":
                for line in block.splitlines():
                    json.loads(line)
    for sentence, names in places.items():
        if len(names) > 1:
            yield f"{', '.join(names)}: twice: {sentence}"
    lines = len(texts[(project / "README.md").resolve()].splitlines())
    if lines > README_LINES:
        yield f"README.md: {lines} lines, and {README_LINES} are enough"


faults = list(check(pathlib.Path(sys.argv[1]).resolve()))
print("\n".join(faults))
sys.exit(bool(faults))
