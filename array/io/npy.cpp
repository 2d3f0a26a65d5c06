#include <lazuli/array/io/npy.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <lazuli/array/io/file_writer.h>
#include <lazuli/array/io/mapped_file.h>
#include <lazuli/array/io/npy_format.h>
#include <lazuli/array/io/npy_header.h>
#include <lazuli/array/io/tensor_data.h>

namespace lazuli {

namespace {

constexpr std::string_view extension = ".npy";

array over_data(const NpyHeader& header, Ref<Buffer> memory, size_t offset) {
  TensorData data;
  data.file = std::move(memory);
  data.offset = offset;
  data.shape = Shape(header.shape.begin(), header.shape.end());
  data.dtype = header.dtype;
  data.is_column_major = header.is_column_major;
  data.is_swapped = header.is_swapped;
  return data.to_array();
}

array load_from(io::Reader& reader) {
  const size_t size = io::bytes_left(reader);
  std::vector<std::byte> start(std::min(size, npy_start_size));
  const auto read = [&](size_t from) {
    if (from < start.size()) reader.read(reinterpret_cast<char*>(start.data() + from), start.size() - from);
    if (!reader.good()) throw std::runtime_error("the reader has failed");
  };
  read(0);
  const size_t had = start.size();
  start.resize(npy_data_start(start, size));
  if (start.size() < had) reader.seek(-static_cast<int64_t>(had - start.size()), std::ios_base::cur);
  read(had);
  const NpyHeader header = parse_npy_header(start, size, true);
  return over_data(header, io::read_buffer(reader, static_cast<size_t>(header.data_size)), 0);
}

}  // namespace

void write_npy(io::Writer& writer, const array& a) {
  std::vector<uint64_t> shape;
  for (const Dim extent : a.shape()) shape.push_back(static_cast<uint64_t>(static_cast<int>(extent)));
  const std::string header = npy_header_text(a.dtype(), shape);
  io::write_checked(writer, header.data(), header.size());
  io::write_elements(writer, a);
}

array read_npy(Ref<Buffer> memory, size_t offset, size_t size) {
  const NpyHeader header = parse_npy_header({memory->data() + offset, size}, size);
  return over_data(header, std::move(memory), offset + header.data_start);
}

void save(std::string file, array a) {
  if (!file.ends_with(extension)) file += extension;
  a.eval();
  try {
    FileWriter writer(file);
    write_npy(writer, a);
    writer.commit();
  } catch (const std::exception& error) {
    throw std::runtime_error("[save] " + file + ": " + error.what());
  }
}

void save(std::shared_ptr<io::Writer> out_stream, array a) {
  a.eval();
  try {
    if (!out_stream->is_open()) throw std::runtime_error("the writer is not open");
    write_npy(*out_stream, a);
  } catch (const std::exception& error) {
    throw std::runtime_error("[save] " + out_stream->label() + ": " + error.what());
  }
}

array load(std::string file, StreamOrDevice s) {
  to_stream(s);
  try {
    const MappedFile mapped(file);
    return read_npy(mapped.buffer(), 0, mapped.size());
  } catch (const std::exception& error) {
    throw std::runtime_error("[load] " + file + ": " + error.what());
  }
}

array load(std::shared_ptr<io::Reader> in_stream, StreamOrDevice s) {
  to_stream(s);
  try {
    return load_from(*in_stream);
  } catch (const std::exception& error) {
    throw std::runtime_error("[load] " + in_stream->label() + ": " + error.what());
  }
}

}  // namespace lazuli
