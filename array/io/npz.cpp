#include <lazuli/array/io/npz.h>

#include <map>
#include <stdexcept>
#include <vector>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/file_writer.h>
#include <lazuli/array/io/mapped_file.h>
#include <lazuli/array/io/npy_format.h>
#include <lazuli/array/io/zip.h>

namespace lazuli {

namespace {

constexpr std::string_view extension = ".npz";
constexpr std::string_view member_extension = ".npy";

using Arrays = std::unordered_map<std::string, array>;

void write_archive(io::Writer& writer, const Arrays& arrays, bool deflates) {
  if (!writer.is_open()) throw std::runtime_error("the writer is not open");
  ZipWriter archive(writer);
  const std::map<std::string, array> in_order(arrays.begin(), arrays.end());
  for (const auto& [name, a] : in_order) {
    archive.add(name + std::string(member_extension), deflates,
                [&a = a](io::Writer& to) { write_npy(to, a); });
  }
  archive.finish();
}

void eval_all(const Arrays& arrays) {
  std::vector<array> pending;
  for (const auto& item : arrays) pending.push_back(item.second);
  eval(std::move(pending));
}

void save_to_file(std::string file, const Arrays& arrays, bool deflates) {
  if (!file.ends_with(extension)) file += extension;
  eval_all(arrays);
  try {
    FileWriter writer(file);
    write_archive(writer, arrays, deflates);
    writer.commit();
  } catch (const std::exception& error) {
    throw std::runtime_error("[savez] " + file + ": " + error.what());
  }
}

void save_to_writer(io::Writer& writer, const Arrays& arrays, bool deflates) {
  eval_all(arrays);
  try {
    write_archive(writer, arrays, deflates);
  } catch (const std::exception& error) {
    throw std::runtime_error("[savez] " + writer.label() + ": " + error.what());
  }
}

Arrays read_archive(const Ref<Buffer>& memory) {
  const std::span<const std::byte> file{memory->data(), memory->size()};
  Arrays arrays;
  for (const ZipMember& member : read_zip_directory(file)) {
    std::string name = member.name;
    if (!name.ends_with(member_extension)) throw std::runtime_error("'" + name + "' is not a .npy file");
    name.resize(name.size() - member_extension.size());
    if (arrays.contains(name)) throw std::runtime_error("'" + name + "' stands there twice");
    try {
      if (member.is_deflated) {
        const Ref<Buffer> content = inflate_member(file, member);
        arrays.emplace(name, read_npy(content, 0, content->size()));
      } else {
        check_stored_member(file, member);
        arrays.emplace(name, read_npy(memory, member.data_start, member.size));
      }
    } catch (const std::exception& error) {
      throw std::runtime_error("'" + name + "': " + error.what());
    }
  }
  return arrays;
}

}  // namespace

void savez(std::string file, Arrays arrays) {
  save_to_file(std::move(file), arrays, false);
}
void savez_compressed(std::string file, Arrays arrays) {
  save_to_file(std::move(file), arrays, true);
}
void savez(std::shared_ptr<io::Writer> out_stream, Arrays arrays) {
  save_to_writer(*out_stream, arrays, false);
}
void savez_compressed(std::shared_ptr<io::Writer> out_stream, Arrays arrays) {
  save_to_writer(*out_stream, arrays, true);
}

Arrays load_npz(const std::string& file, StreamOrDevice s) {
  to_stream(s);
  try {
    return read_archive(MappedFile(file).buffer());
  } catch (const std::exception& error) {
    throw std::runtime_error("[load_npz] " + file + ": " + error.what());
  }
}

Arrays load_npz(std::shared_ptr<io::Reader> in_stream, StreamOrDevice s) {
  to_stream(s);
  try {
    return read_archive(io::read_buffer(*in_stream, io::bytes_left(*in_stream)));
  } catch (const std::exception& error) {
    throw std::runtime_error("[load_npz] " + in_stream->label() + ": " + error.what());
  }
}

}  // namespace lazuli
