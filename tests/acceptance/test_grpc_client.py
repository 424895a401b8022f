"""What docs/grpc.md shows, as somebody would make and run it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.stack.cluster import Cluster
from tests.stack.node import ROOT


def test_the_client_of_the_documentation_works(embedded: Cluster, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "grpc.md").read_text()
    (client,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (command,) = re.findall(r"^python (-m grpc_tools\.protoc .*)$", text, re.MULTILINE)
    protos = [str(file) for file in sorted(ROOT.glob("proto/erlmcp/v1/*.proto"))]
    arguments = [argument.replace("--proto_path=", f"--proto_path={ROOT}/") for argument in command.split()[:-1]]
    made = subprocess.run(
        [sys.executable, *arguments, *protos], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr
    tree = embedded.tree()
    (tmp_path / "client.py").write_text(client.replace("resource://example.com/", tree))
    environment = {
        "PATH": os.environ["PATH"],
        "ERLMCP": embedded.nodes[0].grpc_address,
        "PASSWORD": embedded.passwords["alice"],
    }
    done = subprocess.run(
        [sys.executable, "client.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, created, updated, refused = done.stdout.splitlines()
    assert first == "2 {'word': 'goodbye'}"
    assert created.endswith("erlmcp.resource.created {'word': 'hello'}")
    assert updated.endswith("erlmcp.resource.updated {'word': 'goodbye'}")
    assert refused == "NOT_FOUND resource_not_found"


def test_each_line_of_grpcurl_of_the_documentation_is_answered(embedded: Cluster) -> None:
    text = (ROOT / "docs" / "grpc.md").read_text()
    lines = re.findall(r"^grpcurl .*$", text, re.MULTILINE)
    address, tree = embedded.nodes[0].grpc_address, embedded.tree()
    told = {
        "localhost:50051": address,
        "$TOKEN": embedded.token("alice"),
        "resource://demo.local/weather/helsinki": f"{tree}mine",
        "resource://demo.local/": tree,
        "…": embedded.passwords["alice"],
    }
    assert len(lines) > 5
    # what is read and followed has to be there
    lines.sort(key=lambda line: "Write" not in line)
    with grpc.insecure_channel(address) as channel:
        for line in lines:
            for word, meant in told.items():
                line = line.replace(word, meant)
            assert grpcurl(channel, address, shlex.split(line)[1:]), line


def grpcurl(channel: grpc.Channel, address: str, arguments: list[str]) -> object:
    """What grpcurl would print first; it knows the services by reflection alone.

    Raises grpc.RpcError, KeyError, and json_format.ParseError for what is not in the message.
    """
    metadata, data = [], "{}"
    while (word := arguments.pop(0)) != address:
        assert word in {"-plaintext", "-H", "-d"}
        if word == "-H":
            name, _, value = arguments.pop(0).partition(": ")
            metadata.append((name, value))
        elif word == "-d":
            data = arguments.pop(0)
    known = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(known)
    if arguments == ["list"]:
        return known.get_services()
    if arguments[0] == "describe":
        return pool.FindServiceByName(arguments[1]).methods
    service, _, rpc = arguments[0].partition("/")
    method = pool.FindServiceByName(service).methods_by_name[rpc]
    request = json_format.Parse(data, GetMessageClass(method.input_type)(), descriptor_pool=pool)
    response: type[Message] = GetMessageClass(method.output_type)
    open_call = channel.unary_stream(f"/{arguments[0]}", type(request).SerializeToString, response.FromString)
    call = open_call(request, metadata=metadata, timeout=30)
    answer = next(call)
    call.cancel()
    return json_format.MessageToJson(answer, descriptor_pool=pool)
