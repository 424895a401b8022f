"""Makes the Python of proto/erlmcp/v1: `make proto`, or `python proto/generate.py <folder>` to make it elsewhere."""

import re
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
TARGET = PROTO.parent / "erlmcp_site" / "transports" / "grpc" / "generated"
PACKAGE = "erlmcp_site.transports.grpc.generated"


def generate(target: Path) -> None:
    """Write the modules and their types into a folder, which has to be there.

    They import each other as members of PACKAGE: what protoc writes expects to lie in a package `erlmcp.v1`, which is
    for clients to have.
    """
    sources = sorted(PROTO.glob("erlmcp/v1/*.proto"))
    includes = [f"--proto_path={PROTO}", f"--proto_path={files('grpc_tools') / '_proto'}"]
    status = protoc.main(["protoc", *includes, f"--python_out={target}", f"--pyi_out={target}", *map(str, sources)])
    if status:
        raise SystemExit(status)
    folder = target / "erlmcp" / "v1"
    for made in folder.iterdir():
        text = re.sub(r"^from erlmcp\.v1 import", f"from {PACKAGE} import", made.read_text(), flags=re.MULTILINE)
        (target / made.name).write_text(text)
        made.unlink()
    folder.rmdir()
    folder.parent.rmdir()


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
