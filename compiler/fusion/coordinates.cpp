#include <lazuli/compiler/fusion/coordinates.h>

#include <algorithm>

namespace lazuli {

bool same(const Coordinates& a, const Coordinates& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](const Coordinate& x, const Coordinate& y) { return x.same_as(y); });
}

Coordinates map_coordinates(const IndexMap& map, const Coordinates& at) {
  Coordinates result;
  result.reserve(map.size());
  for (const IndexTerm& term : map) {
    Coordinate coordinate;
    if (term.dim >= 0) {
      coordinate = at[static_cast<size_t>(term.dim)];
      coordinate.scale = coordinate.scale * term.scale;
      coordinate.offset = coordinate.offset * term.scale + term.offset;
      coordinate.dynamic_scale = coordinate.dynamic_scale * term.scale;
    } else {
      coordinate.offset = term.offset;
    }
    result.push_back(coordinate);
  }
  return result;
}

}  // namespace lazuli
