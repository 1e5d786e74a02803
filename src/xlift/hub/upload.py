"""Upload a folder to the Hub as a model, through the Hub's own client: in one commit, private by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.hub.errors import FatalTransferError, call_with_retries

_LOGIN = "Log in with `hf auth login`, or set HF_TOKEN to a token with write access (huggingface.co/settings/tokens)."


def check_repository(repository: str) -> None:
    """Raise UserError if the name is invalid, nobody is logged in, or HF_HUB_OFFLINE is set: checks before any work."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError:
        raise UserError(f"'{repository}' is not a valid model name", fix="Expected USER/NAME.") from None
    if constants.HF_HUB_OFFLINE:
        raise FatalTransferError("HF_HUB_OFFLINE forbids requests to the Hub", fix="Unset it, or use another machine.")
    if not get_token():
        raise UserError("nobody is logged in to the Hub", where=constants.ENDPOINT, fix=_LOGIN)


def upload(folder: Path, repository: str, *, public: bool = False, message: str = "") -> str:
    """Upload all files of a folder, and create the repository if there is none. Other files in the repository stay.

    Args:
        repository: USER/NAME; NAME alone means the user's own.
        public: make a new repository public.

    Returns:
        The address of the model's page.

    Raises:
        UserError: as `check_repository`; the folder holds no model; the repository exists and is public, and `public` is
            false; the token has no write access there; the network fails.
    """
    from huggingface_hub import HfApi, get_token

    if not folder.is_dir():
        raise UserError("no such folder", where=str(folder), fix="`xlift export` writes one.")
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise UserError(
            "not a model folder: it has no " + ("weights" if (folder / "config.json").is_file() else "config.json"),
            where=str(folder), fix="`xlift export` writes one.",
        )  # fmt: skip
    check_repository(repository)
    api = HfApi(token=get_token())

    def request(call: Any, **options: Any) -> Any:
        return call_with_retries(
            lambda: call(**options), repository, "main", explain=lambda error: _explain(error, repository)
        )

    url = request(api.create_repo, repo_id=repository, private=not public, exist_ok=True)
    name = url.repo_id
    if not public and not request(api.model_info, repo_id=name).private:
        raise UserError(
            "the repository already exists and is public", where=str(url),
            fix="Add --public if the model may be public, or choose another name.",
        )  # fmt: skip
    request(
        api.upload_folder, repo_id=name, folder_path=folder, commit_message=message or "Upload a model exported by xlift",
        ignore_patterns=[".*", "**/.*"],
    )  # fmt: skip
    return str(url)


def _explain(error: BaseException, repository: str) -> UserError:
    """The error as one clause, with a fix."""
    from huggingface_hub import constants, errors

    url = f"{constants.ENDPOINT}/{repository}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    message = str(error).strip().splitlines()
    if isinstance(error, ValueError) and "metadata" in str(error):
        return UserError(
            f"the Hub rejects README.md: {message[-1]}", where=url, fix="Correct its first lines and try again."
        )
    if isinstance(error, ValueError | KeyError | TypeError) and not isinstance(error, OSError):
        return UserError(
            f"{constants.ENDPOINT} does not respond like the Hub: {type(error).__name__}", where=url,
            fix="Check HF_ENDPOINT. A login page of the network may intercept the request.",
        )  # fmt: skip
    if status == 401 and not isinstance(error, errors.RepositoryNotFoundError):
        return UserError("the Hub rejects the token", where=url, fix=_LOGIN)
    if status in (401, 403, 404):
        return UserError(
            "the token has no write access there", where=url,
            fix="Check the name (USER is the token's owner, or an organisation of theirs), and that the token has write access.",
        )  # fmt: skip
    if status == 429:
        return UserError("the Hub returns 429 (too many requests)", where=url, fix="Wait some minutes and try again.")
    if status is not None:
        return UserError(
            f"the Hub returns {status}", where=url, fix="Try again later. A repository gets all files or none."
        )
    if isinstance(error, OSError) and error.errno is not None and getattr(error, "filename", None):
        return UserError(f"cannot read: {error.strerror}", where=str(error.filename))
    return FatalTransferError(
        f"the Hub at {constants.ENDPOINT} cannot be reached: {message[0] if message else type(error).__name__}", where=url,
        fix="Check the network, the proxy (HTTPS_PROXY) or the mirror (HF_ENDPOINT), and try again. A repository gets all files or none.",
    )  # fmt: skip
