#include <lazuli/lm/tokenizer/vocabulary.h>

#include <lazuli/lm/tokenizer/flat_map.h>

#include <bit>
#include <utility>

namespace lazuli::lm {

Vocabulary::Vocabulary(std::size_t expected) {
  resize(std::bit_ceil(expected * 2 + 8));
}

std::size_t Vocabulary::place(std::string_view sought, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash);
  std::size_t index = static_cast<std::size_t>(hash >> 32) & mask;
  while (slots_[index].id != kNone && (slots_[index].hash != tag || token(slots_[index].id) != sought)) {
    index = (index + 1) & mask;
  }
  return index;
}

void Vocabulary::resize(std::size_t capacity) {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(capacity, Slot{});
  for (const Slot& slot : old) {
    if (slot.id != kNone) slots_[place(token(slot.id), hash_bytes(token(slot.id)))] = slot;
  }
}

void Vocabulary::set(std::string_view token, std::int32_t id) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  if ((used_ + 1) * 2 > slots_.size()) resize(slots_.size() * 2);
  tokens_[index] = {text_.size(), token.size(), true};
  text_ += token;
  const std::uint64_t hash = hash_bytes(token);
  Slot& slot = slots_[place(token, hash)];
  if (slot.id == kNone) ++used_;
  slot = {static_cast<std::uint32_t>(hash), id};
}

std::int32_t Vocabulary::find(std::string_view token) const {
  return slots_[place(token, hash_bytes(token))].id;
}

std::string_view Vocabulary::token(std::int32_t id) const {
  const auto index = static_cast<std::size_t>(id);
  if (id < 0 || index >= tokens_.size()) return {};
  return std::string_view(text_).substr(tokens_[index].offset, tokens_[index].length);
}

bool Vocabulary::contains(std::int32_t id) const {
  const auto index = static_cast<std::size_t>(id);
  return id >= 0 && index < tokens_.size() && tokens_[index].present;
}

}  // namespace lazuli::lm
