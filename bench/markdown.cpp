#include <string>

#include <fmt/format.h>

#include "table.h"

namespace lazuli::bench {
namespace {

std::string bold_unless(bool met, const std::string& name) {
  return met ? name : "**" + name + "**";
}

/// What a row is held against: shares of a limit, ratios to peers, an upper bound in seconds.
std::string figure_of(const Result& result) {
  std::string figure;
  const auto add = [&](const std::string& part) { figure += (figure.empty() ? "" : "; ") + part; };
  if (result.limit) add(fmt::format("{:.0f} % of the {}", 100 * result.share, name_of(*result.limit)));
  for (const Result::Ratio& peer : result.peers) add(fmt::format("{:.2f} × {}", peer.ratio, peer.peer));
  if (figure.empty() || result.wanted_seconds > 0) add(fmt::format("{:.3g} ms", 1e3 * result.seconds));
  return figure;
}

std::string wanted_of(const Result& result) {
  std::string wanted;
  const auto add = [&](const std::string& part) { wanted += (wanted.empty() ? "" : "; ") + part; };
  if (result.wanted_share > 0) add(fmt::format("{:.0f} %", 100 * result.wanted_share));
  for (const Result::Ratio& peer : result.peers) {
    if (peer.wanted > 0) add(fmt::format("{:.2f} ×", peer.wanted));
  }
  if (result.wanted_seconds > 0) add(fmt::format("{:.3g} ms", 1e3 * result.wanted_seconds));
  return wanted;
}

}  // namespace

std::string markdown_table(const std::vector<Result>& results, const std::vector<Stated>& stated) {
  std::string text = "| work | figure | wanted |\n| --- | --- | --- |\n";
  for (const Result& result : results) {
    text += fmt::format("| {} | {} | {} |\n", bold_unless(result.met(), result.group + ": " + result.name),
                        figure_of(result), wanted_of(result));
  }
  for (const Stated& row : stated) {
    text += fmt::format("| {} | {:.3g} {} | {} |\n", bold_unless(row.met(), row.group + ": " + row.name),
                        row.value, row.unit, row.wanted > 0 ? fmt::format("at most {:.3g}", row.wanted) : "");
  }
  return text;
}

}  // namespace lazuli::bench
