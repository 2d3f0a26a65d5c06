#include <algorithm>

#include <lazuli/compiler/llvm/builder.h>

namespace lazuli {

using llvm::Value;

void VectorBuilder::transpose(llvm::MutableArrayRef<Value*> vectors) {
  constexpr int part_bytes = 16;  // within which shuffles cost least
  const auto lanes = static_cast<int>(vectors.size());
  const int size = static_cast<int>(vectors[0]->getType()->getScalarSizeInBits() / 8);
  lanes* size < part_bytes ? transpose_narrow(vectors) : transpose_by_parts(vectors, part_bytes / size);
}

/// Interleaving the first half of the rows with the second, as often as halving leads to one row.
void VectorBuilder::transpose_narrow(llvm::MutableArrayRef<Value*> vectors) {
  const auto lanes = static_cast<int>(vectors.size());
  const int width = lanes_of(vectors[0]);
  llvm::SmallVector<int, 64> low, high;
  for (int tile = 0; tile < width; tile += lanes) {
    for (int i = tile; i < tile + lanes / 2; ++i) {
      low.append({i, width + i});
      high.append({lanes / 2 + i, width + lanes / 2 + i});
    }
  }
  for (int step = 1; step < lanes; step *= 2) {
    llvm::SmallVector<Value*, 64> mixed;
    for (int i = 0; i < lanes / 2; ++i) {
      Value* a = vectors[static_cast<size_t>(i)];
      Value* b = vectors[static_cast<size_t>(i + lanes / 2)];
      mixed.push_back(ir.CreateShuffleVector(a, b, low));
      mixed.push_back(ir.CreateShuffleVector(a, b, high));
    }
    std::copy(mixed.begin(), mixed.end(), vectors.begin());
  }
}

/// First within parts of registers that shuffles do not leave, `part` elements each: rows that are 1 apart
/// are interleaved element by element, then those 2 apart pair by pair, and so on. Then whole parts change
/// places.
void VectorBuilder::transpose_by_parts(llvm::MutableArrayRef<Value*> vectors, int part) {
  const auto lanes = static_cast<int>(vectors.size());
  const int width = lanes_of(vectors[0]);
  const auto mix = [&](int apart, llvm::ArrayRef<int> low, llvm::ArrayRef<int> high) {
    for (int i = 0; i < lanes; ++i) {
      if ((i & apart) != 0) continue;
      Value*& a = vectors[static_cast<size_t>(i)];
      Value*& b = vectors[static_cast<size_t>(i + apart)];
      Value* mixed = ir.CreateShuffleVector(a, b, low);
      b = ir.CreateShuffleVector(a, b, high);
      a = mixed;
    }
  };
  for (int apart = 1; apart < part; apart *= 2) {
    llvm::SmallVector<int, 64> low, high;
    for (int first = 0; first < width; first += part) {
      for (int i = first; i < first + part / 2; i += apart) {
        for (const int from : {i, width + i}) {
          for (int n = from; n < from + apart; ++n) {
            low.push_back(n);
            high.push_back(n + part / 2);
          }
        }
      }
    }
    mix(apart, low, high);
  }
  for (int apart = part; apart < lanes; apart *= 2) {
    llvm::SmallVector<int, 64> low, high;
    for (int tile = 0; tile < width; tile += lanes) {
      for (const int from : {tile, width + tile}) {
        for (int i = from; i < from + lanes; i += 2 * part) {
          for (int n = i; n < i + part; ++n) {
            low.push_back(n);
            high.push_back(n + part);
          }
        }
      }
    }
    mix(apart, low, high);
  }
  // Within a part, the rows that were next to each other have told the upper half of its columns from the
  // lower.
  const llvm::SmallVector<Value*, 64> mixed(vectors.begin(), vectors.end());
  for (int i = 0; i < lanes; ++i) {
    int column = i / part * part;
    for (int bit = 1; bit < part; bit *= 2) column += (i & bit) != 0 ? part / (2 * bit) : 0;
    vectors[static_cast<size_t>(column)] = mixed[static_cast<size_t>(i)];
  }
}

}  // namespace lazuli
