/** Writes a model as the bytes of an ONNX file. */

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  type AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataLocation,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "onnx-buf";
import { elementTypes } from "../ffi/element_type.ts";
import {
  type Attribute,
  type Initializer,
  irVersion,
  type OnnxModel,
  type OnnxNode,
  type OnnxValue,
  opsets,
} from "./description.ts";

/** The bytes of a model in ONNX's file format. */
export function encodeModel(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const message = create(ModelProtoSchema, {
    irVersion: BigInt(irVersion),
    producerName: "tessera",
    opsetImport: Object.entries(opsets).map(([domain, version]) => ({ domain, version: BigInt(version) })),
    graph: {
      name: model.name,
      node: model.nodes.map(nodeMessage),
      input: model.inputs.map(valueMessage),
      output: model.outputs.map(valueMessage),
      initializer: [
        ...model.initializers.map(tensorMessage),
        ...(model.residents ?? []).map(residentMessage),
      ],
    },
  });
  return toBinary(ModelProtoSchema, message);
}

function nodeMessage(node: OnnxNode): MessageInitShape<typeof NodeProtoSchema> {
  return {
    name: node.outputs[0]!.name,
    opType: node.op,
    domain: node.domain,
    input: [...node.inputs],
    output: node.outputs.map((value) => value.name),
    attribute: Object.entries(node.attributes).map(([name, value]) => attributeMessage(name, value)),
  };
}

function attributeMessage(name: string, value: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === "number") return { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) };
  if (typeof value === "string") {
    return { name, type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode(value) };
  }
  if ("float" in value) return { name, type: AttributeProto_AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeProto_AttributeType.INTS, ints: value.map(BigInt) };
}

function valueMessage(value: OnnxValue): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = value.shape.map((length) => ({ value: { case: "dimValue" as const, value: BigInt(length) } }));
  return {
    name: value.name,
    type: { value: { case: "tensorType", value: { elemType: elementTypes[value.dtype], shape: { dim } } } },
  };
}

function tensorMessage(tensor: Initializer): MessageInitShape<typeof TensorProtoSchema> {
  return {
    name: tensor.name,
    dataType: elementTypes[tensor.dtype],
    dims: tensor.shape.map(BigInt),
    rawData: new Uint8Array(tensor.bytes),
  };
}

/**
 * A constant whose elements are elsewhere: whoever compiles the model supplies them. ONNX Runtime wants a path that exists, which it
 * does not read then.
 */
function residentMessage(value: OnnxValue): MessageInitShape<typeof TensorProtoSchema> {
  return {
    name: value.name,
    dataType: elementTypes[value.dtype],
    dims: value.shape.map(BigInt),
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [{ key: "location", value: "." }],
  };
}
