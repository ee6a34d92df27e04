"""Check names that others must accept: release versions, Hub repositories, `datasets` configs."""

from typing import Annotated

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)]
"""Of a release, a source, a phase, a stage: one part of a path, on any system."""

Version = Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}([-+][0-9A-Za-z.-]+)?$", max_length=96)]
"""Three numbers, and what semantic versioning lets follow them."""

LONGEST = 96
DEFAULT = "default"
"""What `datasets` calls the configuration that is loaded where none is named."""


def repository_mistake(name: str) -> str:
    """What the Hub does not take in the name of a repository, without its owner; empty where it is right."""
    if name.endswith((".git", ".ipynb")):
        return "a repository name must not end in .git or .ipynb"
    return _mistake(name)


def owner_mistake(name: str) -> str:
    """What the Hub does not take in the name of a user or an organization."""
    return _mistake(name)


def _mistake(name: str) -> str:
    if not name or len(name) > LONGEST:
        return f"a name must have 1 to {LONGEST} characters"
    if not all(sign.isascii() and (sign.isalnum() or sign in "-_.") for sign in name):
        return "a name may contain only letters, digits, `-`, `_` and `.`"
    if name[0] in "-." or name[-1] in "-.":
        return "a name must not begin or end with `-` or `.`"
    if "--" in name or ".." in name:
        return "a name must not contain `--` or `..`"
    return ""


def checked_repository(value: str) -> str:
    """ORG/NAME as the Hub takes it. Raises ValueError with what is wrong."""
    owner, slash, name = value.partition("/")
    mistake = (owner_mistake(owner) or repository_mistake(name)) if slash else "write ORG/NAME"
    if not mistake and len(value) > LONGEST:
        mistake = f"ORG/NAME must have at most {LONGEST} characters"
    if mistake:
        raise ValueError(mistake)
    return value


def checked_name(value: str) -> str:
    """The name of a release, which is that of its repository too. Raises ValueError with what is wrong."""
    if mistake := repository_mistake(value):
        raise ValueError(mistake)
    return value
