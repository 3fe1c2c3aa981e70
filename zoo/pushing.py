"""A finished run onto the Hugging Face hub, as the repository that its folder is already."""

from __future__ import annotations

from zoo import settings
from zoo.errors import WeightsError
from zoo.runs import CARD, CONFIG, CURVES, METRICS, RECORD, TOKENIZER, WEIGHTS, Run
from zoo.weights.hub import reason

FILES = (RECORD, WEIGHTS, METRICS, TOKENIZER, CONFIG, CARD, CURVES)  # all but what resuming needs


def push_weights(run: Run, repository: str, *, private: bool = False, message: str | None = None) -> str:
    """Commits a finished run's files to `owner/name`, made where it is missing; returns its URI there.

    `zoo.load` takes the URI, which names the commit. Earlier commits stay as they are, and what a run does
    not write is not touched. Raises `RunError` for a run that is not finished, `WeightsError` where the
    hub does not take it.
    """
    run.check_finished()
    if settings.offline():
        raise WeightsError(f"{repository}: nothing is pushed while ZOO_OFFLINE=1 is set; unset it")
    import httpx2  # what huggingface_hub speaks HTTP with
    from huggingface_hub import HfApi  # slow to import
    from huggingface_hub.errors import HFValidationError

    api = HfApi(library_name="torch-zoo")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=run.path,
            allow_patterns=list(FILES),
            commit_message=message or f"{run.record.model} trained on {run.record.data.get('name', 'data')}",
        )
    except HFValidationError:
        raise WeightsError(f"{repository!r} is no repository of the hub; expected owner/name") from None
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise WeightsError(f"{repository} is not pushed: {_told(error)}") from None
    return f"hf://{repository}@{commit.oid}"


def _told(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):  # to read is refused for other reasons
        mend = "log in with 'hf auth login' or set HF_TOKEN to one that may write"
        return f"the hub refuses it ({status}); {mend}"
    return reason(error)
