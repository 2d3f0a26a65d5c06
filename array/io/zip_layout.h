#pragma once

#include <cstdint>

/// Numbers of the ZIP format (APPNOTE.TXT 4.3 and 4.5).
namespace lazuli::zip {

inline constexpr uint32_t local_signature = 0x04034b50;
inline constexpr uint32_t entry_signature = 0x02014b50;
inline constexpr uint32_t end_signature = 0x06054b50;
inline constexpr uint32_t end64_signature = 0x06064b50;
inline constexpr uint32_t locator_signature = 0x07064b50;

// Sizes of the records without what varies.
inline constexpr uint64_t local_size = 30;
inline constexpr uint64_t entry_size = 46;
inline constexpr uint64_t end_size = 22;
inline constexpr uint64_t end64_size = 56;
inline constexpr uint64_t locator_size = 20;

// "See the ZIP64 record."
inline constexpr uint64_t full_16 = 0xffff;
inline constexpr uint64_t full_32 = 0xffffffff;

inline constexpr uint16_t zip64_field = 1;
/// Pads the local header, as Android's zipalign does.
inline constexpr uint16_t alignment_field = 0xd935;
inline constexpr uint16_t stored_method = 0;
inline constexpr uint16_t deflated_method = 8;
inline constexpr uint16_t encrypted_flag = 1;
inline constexpr uint16_t utf8_flag = 1 << 11;
/// Deflate makes at most 1032 bytes of one: 258 of two bits.
inline constexpr uint64_t largest_ratio = 1032;

}  // namespace lazuli::zip
