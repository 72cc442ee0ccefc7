"""The web page: files that the build put into ``static/``, and its first page for every address that is not a file."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from lepton.server.protocols import speaks_mlflow

STATIC = Path(__file__).parent / "static"
_NOT_BUILT = """Lepton is running. Its web page has not been built.

Build it with:   pip install -e .        (without LEPTON_SKIP_UI)
Or use:          lepton --help           in a terminal
                 GET /v1/openapi.json    with a token
"""


class Page(StaticFiles):
    """Serves the built page; its own addresses, such as ``/datasets/churn``, are all answered by its first page."""

    def __init__(self, folder: Path = STATIC) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.config_checked = True  # the page may be built while we run
        self._first = folder / "index.html"

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, or with the first page."""
        if path == "v1" or path.startswith("v1/") or speaks_mlflow(scope):
            raise HTTPException(404)
        if not self._first.exists():
            return PlainTextResponse(_NOT_BUILT, headers={"Cache-Control": "no-cache"})
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or path.startswith("assets/"):
                raise
            return FileResponse(self._first, headers={"Cache-Control": "no-cache"})
        if path.startswith("assets/"):  # their names change with their content
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response
