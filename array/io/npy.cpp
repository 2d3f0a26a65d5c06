#include <lazuli/array/io/npy.h>

#include <stdexcept>
#include <vector>

#include <lazuli/array/io/file_writer.h>
#include <lazuli/array/io/mapped_file.h>
#include <lazuli/array/io/npy_header.h>
#include <lazuli/array/io/tensor_data.h>

namespace lazuli {

namespace {

constexpr std::string_view extension = ".npy";

array load_npy(const std::string& file) {
  const MappedFile mapped(file);
  const NpyHeader header = parse_npy_header(mapped.bytes());
  TensorData data;
  data.file = mapped.buffer();
  data.offset = header.data_start;
  data.shape = Shape(header.shape.begin(), header.shape.end());
  data.dtype = header.dtype;
  data.is_column_major = header.is_column_major;
  data.is_swapped = header.is_swapped;
  return data.to_array();
}

}  // namespace

void save(std::string file, array a) {
  if (!file.ends_with(extension)) file += extension;
  a.eval();
  try {
    std::vector<uint64_t> shape;
    for (const Dim extent : a.shape()) shape.push_back(static_cast<uint64_t>(static_cast<int>(extent)));
    FileWriter writer(file);
    writer.write(npy_header_text(a.dtype(), shape));
    writer.write_elements(a);
    writer.commit();
  } catch (const std::exception& error) {
    throw std::runtime_error("[save] " + file + ": " + error.what());
  }
}

array load(std::string file, StreamOrDevice s) {
  to_stream(s);
  try {
    return load_npy(file);
  } catch (const std::exception& error) {
    throw std::runtime_error("[load] " + file + ": " + error.what());
  }
}

}  // namespace lazuli
