"""The command line in this process."""

from click.testing import CliRunner

from ase_elf.cli import main


def call(*arguments, code=0, env=None):
    """What ``ase-elf`` prints; it has to end with this exit code, and without a traceback."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], env=env)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output
