#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/dim.h>
#include <lazuli/array/io/reader_writer.h>
#include <lazuli/graph/attribute_reader.h>

/// Files of exported functions. Behind a head of 32 bytes (magic, version, CRC-32 of what follows it, size of
/// the structure, start of the data) stand the structure, which says what is here, and the constants' data,
/// each at a multiple of 64 bytes. Numbers are little-endian.
namespace lazuli {

using StoredExtent = StoredAttribute::Extent;

struct StoredSpec {
  Dtype dtype = float32;
  std::vector<StoredExtent> shape;
};

struct StoredNode {
  std::string key;         ///< the operation's class
  std::string name;        ///< the operation's name
  std::string attributes;  ///< as an AttributeWriter puts them
  std::vector<uint32_t> inputs;
  std::vector<StoredSpec> outputs;
};

/// A trace of a function. Values are numbered: its inputs, then its constants, then the outputs of its nodes.
struct StoredTrace {
  std::vector<std::string> keywords;  ///< names of the last inputs
  DimTable dims;
  std::vector<int64_t> symbol_values;  ///< when it was traced
  std::vector<StoredSpec> inputs;
  std::vector<uint32_t> constants;  ///< places among the file's
  std::vector<StoredNode> nodes;
  std::vector<uint32_t> outputs;
};

struct FunctionFile {
  std::unordered_map<std::string, std::string> metadata;
  std::vector<StoredTrace> traces;
  std::vector<array> constants;
};

/// Writes a file; constants are computed. Throws std::runtime_error, without a prefix, as all of these do.
void write_function_file(io::Writer& writer, const FunctionFile& file);

/// Takes a file apart, checking that its numbers fit together. Constants lie over its memory.
FunctionFile parse_function_file(const Ref<Buffer>& memory);
/// The same without comparing the checksum.
FunctionFile parse_function_file_unchecked(const Ref<Buffer>& memory);

}  // namespace lazuli
