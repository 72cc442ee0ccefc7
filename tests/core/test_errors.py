from lepton.core import errors
from lepton.core.errors import Internal, LeptonError, NotFound, error_from_code


def test_an_error_is_rebuilt_from_its_wire_form() -> None:
    for cls in LeptonError.__subclasses__():
        rebuilt = error_from_code(cls.code, "What happened.")
        assert type(rebuilt) is cls
        assert rebuilt.message == "What happened."


def test_an_unknown_code_is_an_internal_error() -> None:
    assert type(error_from_code("no_such_code", "What happened.")) is Internal


def test_every_error_stands_in_the_tree_at_the_top_of_the_file() -> None:
    assert errors.__doc__ is not None
    for cls in LeptonError.__subclasses__():
        line = next(line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in line)
        assert str(cls.status) in line
        assert cls.code in line
    assert NotFound.status == 404
