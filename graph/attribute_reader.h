#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/graph/attributes.h>

namespace lazuli {

/// An attribute from a file; extents are places of a DimTable where `is_place` says so.
struct StoredAttribute {
  struct Extent {
    bool is_place = false;
    int32_t value = 0;
  };
  AttributeKind kind = AttributeKind::whole;
  std::string_view name;
  int64_t integer = 0;  ///< also a dtype's value
  double number = 0;
  std::string_view text;
  std::vector<Extent> extents;  ///< of an extent or a shape
  std::vector<int> integers;
};

/// Takes apart what an AttributeWriter wrote for a file. Throws std::runtime_error, without a prefix.
std::vector<StoredAttribute> parse_attributes(std::string_view bytes);

/// Gives an operation's attributes back, for an operation to be made again. Throws std::runtime_error,
/// without a prefix, for what is missing or of another kind.
class AttributeReader {
 public:
  /// `dim_at` gives the extent that stands at a place.
  AttributeReader(std::string_view name, std::string_view bytes, std::span<const ArraySpec> inputs,
                  const std::function<Dim(int32_t)>& dim_at);

  /// The operation's name.
  std::string_view name() const { return name_; }
  /// What it is applied to: its number is checked, shapes and dtypes are for the operation to check.
  std::span<const ArraySpec> inputs() const { return inputs_; }

  // The first attribute of that name that has not been read.
  /// It must lie within the bounds.
  int integer(std::string_view name, int low = std::numeric_limits<int>::min(),
              int high = std::numeric_limits<int>::max());
  bool boolean(std::string_view name) { return integer(name, 0, 1) != 0; }
  double number(std::string_view name);
  Dtype dtype(std::string_view name);
  Dim extent(std::string_view name);
  /// Extents that are not negative.
  Shape shape(std::string_view name);
  std::vector<int> integers(std::string_view name);

  /// Throws unless the condition holds: "its ... are wrong".
  void require(bool condition, std::string_view what) const;
  /// Whether all attributes have been read.
  bool is_done() const { return left_ == 0; }

 private:
  const StoredAttribute& next(std::string_view name, AttributeKind kind);
  Dim extent_of(const StoredAttribute::Extent& stored) const;

  std::string_view name_;
  std::span<const ArraySpec> inputs_;
  const std::function<Dim(int32_t)>& dim_at_;
  std::vector<StoredAttribute> attributes_;
  std::vector<bool> used_;
  size_t left_;
};

}  // namespace lazuli
