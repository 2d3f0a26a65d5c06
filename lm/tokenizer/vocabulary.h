#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::lm {

/// Tokens and their ids, both ways. The strings lie one behind the other in one piece of memory.
class Vocabulary {
 public:
  static constexpr std::int32_t kNone = -1;

  explicit Vocabulary(std::size_t expected = 0);

  /// Gives `token` the id `id`, which must be free. A token that has an id already is found by the new one,
  /// and stays what the old one stands for.
  void set(std::string_view token, std::int32_t id);

  /// The id of `token`, or kNone.
  std::int32_t find(std::string_view token) const;

  /// The token with this id; empty if there is none.
  std::string_view token(std::int32_t id) const;
  bool contains(std::int32_t id) const;

  /// One more than the largest id.
  std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t id = kNone;
  };
  struct Token {
    std::size_t offset = 0;
    std::size_t length = 0;
    bool present = false;
  };

  std::size_t place(std::string_view token, std::uint64_t hash) const;
  void resize(std::size_t capacity);

  std::string text_;
  std::vector<Token> tokens_;
  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

}  // namespace lazuli::lm
