#pragma once

#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "limits.h"

namespace lazuli::bench {

/// The same work done by another library, and how many times as fast Lazuli should be.
struct Peer {
  std::string name;
  Runnable run;
  double wanted = 0;  ///< 0: only shown
};

/// A row to be measured.
struct Work {
  std::string group;
  std::string name;
  Runnable run;
  double bytes = 0;       ///< the least traffic it needs
  double operations = 0;  ///< arithmetic operations, for the roofline and for limits that count them
  std::optional<Limit> limit = {};
  double wanted_share = 0;    ///< of the limit; 0: only shown
  double wanted_seconds = 0;  ///< an upper bound; 0: none
  std::vector<Peer> peers = {};
};

/// What was measured of it.
struct Result {
  std::string group, name;
  double seconds = 0, bytes = 0, operations = 0;
  std::optional<Limit> limit = {};
  double limit_rate = 0;  ///< bytes or operations a second, measured in turns with the work
  double share = 0, wanted_share = 0, wanted_seconds = 0;
  struct Ratio {
    std::string peer;
    double ratio = 0, wanted = 0;
  };
  std::vector<Ratio> peers;
  bool met() const;
};

/// A figure that is no time of its own.
struct Stated {
  std::string group, name, unit;
  double value = 0, wanted = 0;  ///< at most; 0: only shown
  bool met() const { return wanted <= 0 || value <= wanted; }
};

/// Measures rows and prints each as soon as it is known.
class Table {
 public:
  /// Only rows whose "group/name" the pattern is found in.
  explicit Table(const std::string& filter = "", double seconds_a_row = 0.3);
  /// Whether the row would be measured; so that its arrays need not be made otherwise.
  bool wants(const std::string& group, const std::string& name = "") const;
  void measure(const Work& work);
  /// A row whose figure is not a time: `value` of `unit`, to be at most `wanted` (0: only shown).
  void state(const std::string& group, const std::string& name, double value, const std::string& unit,
             double wanted);

  const std::vector<Result>& results() const { return results_; }
  const std::vector<Stated>& stated() const { return stated_; }
  /// Rows that fell short of what is wanted.
  int short_rows() const;
  std::string to_json() const;

 private:
  void print(const Result& result);
  std::regex filter_;
  std::string filter_text_;
  double seconds_;
  std::string last_group_;
  std::vector<Result> results_;
  std::vector<Stated> stated_;
};

/// The rows as a table in Markdown; those that fall short in bold.
std::string markdown_table(const std::vector<Result>& results, const std::vector<Stated>& stated);

/// An HTML page with a roofline chart (SVG) that has a dot for every row, and the table.
std::string roofline_page(const std::vector<Result>& results);

}  // namespace lazuli::bench
