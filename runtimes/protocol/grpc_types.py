"""The messages of the V2 gRPC protocol, built from a table of its public field numbers (pure).

One line per message: `field:number:type`, `*` for repeated, `{}` for a map from string, `@` for a member of the one
choice. The descriptors live in a pool of their own: a process may also hold those of a client library. Enumerations of
the model configuration are int32 here, which is the same on the wire.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = "inference.GRPCInferenceService"

_TENSOR = "name:1:string datatype:2:string shape:3:int64*"
_NAME_VERSION = "name:1:string version:2:string"
_REPOSITORY_MODEL = "repository_name:1:string model_name:2:string parameters:3:ModelRepositoryParameter{}"
_PHASES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")

_MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live:1:bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready:1:bool",
    "ModelReadyRequest": _NAME_VERSION,
    "ModelReadyResponse": "ready:1:bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name:1:string version:2:string extensions:3:string*",
    "ModelMetadataRequest": _NAME_VERSION,
    "ModelMetadataResponse": "name:1:string versions:2:string* platform:3:string "
    "inputs:4:ModelMetadataResponse.TensorMetadata* outputs:5:ModelMetadataResponse.TensorMetadata*",
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "InferParameter": "bool_param:1:bool@ int64_param:2:int64@ string_param:3:string@ double_param:4:double@ "
    "uint64_param:5:uint64@",
    "InferTensorContents": "bool_contents:1:bool* int_contents:2:int32* int64_contents:3:int64* "
    "uint_contents:4:uint32* uint64_contents:5:uint64* fp32_contents:6:float* fp64_contents:7:double* "
    "bytes_contents:8:bytes*",
    "ModelInferRequest": "model_name:1:string model_version:2:string id:3:string parameters:4:InferParameter{} "
    "inputs:5:ModelInferRequest.InferInputTensor* outputs:6:ModelInferRequest.InferRequestedOutputTensor* "
    "raw_input_contents:7:bytes*",
    "ModelInferRequest.InferInputTensor": f"{_TENSOR} parameters:4:InferParameter{{}} contents:5:InferTensorContents",
    "ModelInferRequest.InferRequestedOutputTensor": "name:1:string parameters:2:InferParameter{}",
    "ModelInferResponse": "model_name:1:string model_version:2:string id:3:string parameters:4:InferParameter{} "
    "outputs:5:ModelInferResponse.InferOutputTensor* raw_output_contents:6:bytes*",
    "ModelInferResponse.InferOutputTensor": f"{_TENSOR} parameters:4:InferParameter{{}} contents:5:InferTensorContents",
    "ModelStreamInferResponse": "error_message:1:string infer_response:2:ModelInferResponse",
    "ModelConfigRequest": _NAME_VERSION,
    "ModelConfigResponse": "config:1:ModelConfig",
    "ModelConfig": "name:1:string platform:2:string max_batch_size:4:int32 input:5:ModelInput* output:6:ModelOutput* "
    "instance_group:7:ModelInstanceGroup* dynamic_batching:11:ModelDynamicBatching backend:17:string",
    "ModelInput": "name:1:string data_type:2:int32 dims:4:int64*",
    "ModelOutput": "name:1:string data_type:2:int32 dims:3:int64*",
    "ModelInstanceGroup": "name:1:string count:2:int32 kind:4:int32",
    "ModelDynamicBatching": "max_queue_delay_microseconds:2:uint64 default_queue_policy:6:ModelQueuePolicy",
    "ModelQueuePolicy": "max_queue_size:4:uint32",
    "ModelStatisticsRequest": _NAME_VERSION,
    "StatisticDuration": "count:1:uint64 ns:2:uint64",
    "InferStatistics": " ".join(f"{name}:{at}:StatisticDuration" for at, name in enumerate(_PHASES, 1)),
    "InferBatchStatistics": "batch_size:1:uint64 compute_input:2:StatisticDuration compute_infer:3:StatisticDuration "
    "compute_output:4:StatisticDuration",
    "ModelStatistics": "name:1:string version:2:string last_inference:3:uint64 inference_count:4:uint64 "
    "execution_count:5:uint64 inference_stats:6:InferStatistics batch_stats:7:InferBatchStatistics*",
    "ModelStatisticsResponse": "model_stats:1:ModelStatistics*",
    "ModelRepositoryParameter": "bool_param:1:bool@ int64_param:2:int64@ string_param:3:string@ bytes_param:4:bytes@",
    "RepositoryIndexRequest": "repository_name:1:string ready:2:bool",
    "RepositoryIndexResponse": "models:1:RepositoryIndexResponse.ModelIndex*",
    "RepositoryIndexResponse.ModelIndex": "name:1:string version:2:string state:3:string reason:4:string",
    "RepositoryModelLoadRequest": _REPOSITORY_MODEL,
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": _REPOSITORY_MODEL,
    "RepositoryModelUnloadResponse": "",
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes")
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, Any] = {}
    for name, fields in _MESSAGES.items():
        outer, _, inner = name.rpartition(".")
        message = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
        made[name] = message
        for field in fields.split():
            _add_field(message, name, field)
    return file


def _add_field(message: Any, owner: str, text: str) -> None:
    name, number, kind = text.split(":")
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if kind[-1] in "*}" else _Field.LABEL_OPTIONAL
    if kind.endswith("@"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    base = kind.rstrip("*@{}")
    if kind.endswith("{}"):
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _add_field(entry, owner, "key:1:string")
        _add_field(entry, owner, f"value:2:{base}")
        base = f"{owner}.ParametersEntry"
    if base in _SCALARS:
        field.type = _SCALARS[base]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{base}"


_pool = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(_file().SerializeToString())
_classes: dict[str, Any] = {}


def message(name: str) -> Any:
    """Return the class of a message by its name within the package."""
    if name not in _classes:
        _classes[name] = message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
    return _classes[name]


def names() -> list[str]:
    """Return the names of all messages there are."""
    return list(_MESSAGES)
