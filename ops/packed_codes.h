#pragma once

#include <initializer_list>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Integers of a few bits, one after another in uint32 words, least significant bits first.
namespace lazuli {

inline constexpr int bits_per_word = 32;

/// How many codes a block has: a word's or, where they straddle words, 32.
int codes_per_block(int bits);
/// Bits packed: uint32 codes [..., blocks, codes per block] into words [..., blocks, words per block].
array pack_codes(const array& codes, int bits, StreamOrDevice s);
/// The opposite.
array unpack_codes(const array& words, int bits, StreamOrDevice s);
/// The shape of `a` with its last axis replaced by others.
Shape with_last(const array& a, std::initializer_list<Dim> last);

}  // namespace lazuli
