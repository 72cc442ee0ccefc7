"""The REST door: parse, call one operation, render. Decides nothing; also hands out the web page."""

from lepton.server.app import create_app

__all__ = ["create_app"]
