# What the real pip reads of files of requirements: texts as JSON on stdin, what it makes of each as JSON on stdout.
import json, os, sys, tempfile
from pip._internal.req import constructors, req_file

LONG = {
    "requirements": "--requirement", "constraints": "--constraint", "editables": "--editable",
    "index_url": "--index-url", "extra_index_urls": "--extra-index-url", "find_links": "--find-links",
    "no_index": "--no-index", "prefer_binary": "--prefer-binary", "require_hashes": "--require-hashes",
    "pre": "--pre", "trusted_hosts": "--trusted-host",
}


def lines(text):
    """Each line's number, requirement, and those options whose values pip keeps as they are; None where it fails."""
    parse, found = req_file.get_line_parser(None), []
    for number, line in req_file.preprocess(text):
        try:
            requirement, options = parse(line)
        except Exception:
            return found + [None]
        kept = {}
        for key, name in LONG.items():
            value = getattr(options, key, None)
            if value:
                kept[name] = value if isinstance(value, list) else [value if isinstance(value, str) else ""]
        found.append([number, requirement, kept])
    return found


def installed(text):
    """Where pip would take what `text` names, with files of many names beside it; None where it fails."""
    links = []
    try:
        with open("requirements.txt", "w", newline="") as file:
            file.write(text)
        for parsed in req_file.parse_requirements("requirements.txt", session=None):
            link = constructors.install_req_from_parsed_requirement(parsed).link
            links.append(link.url if link else "")
    except BaseException:
        return None
    return links


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for name in ["a", "b", "simple", "C:a"]:
        os.mkdir(name)
        open(name + "/setup.py", "w").close()
    for name in ["a.whl", "A.WHL", "a.tgz", "a.tar.xz", "a-1-py3-none-any.whl", "b.txt", "c.zip"]:
        open(name, "w").close()
    cases = json.load(sys.stdin)
    print(json.dumps([[lines(text), installed(text)] for text in cases]))
