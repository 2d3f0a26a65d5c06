#include "table.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <lazuli/compiler/settings.h>

namespace lazuli::bench {
namespace {

std::string format_seconds(double seconds) {
  if (seconds < 1e-6) return fmt::format("{:.1f} ns", seconds * 1e9);
  if (seconds < 1e-3) return fmt::format("{:.2f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.3f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string format_rate(const Result& result) {
  if (result.limit && !is_bandwidth(*result.limit)) {
    return fmt::format("{:.0f} {}", result.operations / result.seconds * 1e-9, unit_of(*result.limit));
  }
  if (result.bytes > 0) return fmt::format("{:.1f} GB/s", result.bytes / result.seconds * 1e-9);
  return "";
}

}  // namespace

bool Result::met() const {
  if (wanted_share > 0 && share < wanted_share) return false;
  if (wanted_seconds > 0 && seconds > wanted_seconds) return false;
  for (const Ratio& peer : peers) {
    if (peer.wanted > 0 && peer.ratio < peer.wanted) return false;
  }
  return true;
}

Table::Table(const std::string& filter, double seconds_a_row)
    : filter_(filter), filter_text_(filter), seconds_(seconds_a_row) {}

bool Table::wants(const std::string& group, const std::string& name) const {
  if (filter_text_.empty()) return true;
  // Of a group alone it cannot be told which rows match, unless the group does.
  return name.empty() || std::regex_search(group + "/" + name, filter_);
}

void Table::measure(const Work& work) {
  if (!wants(work.group, work.name)) return;
  std::vector<Runnable> contenders{work.run};
  std::optional<LimitLoop> limit;
  if (work.limit) {
    limit = limit_loop(*work.limit, work.bytes);
    contenders.push_back(limit->run);
  }
  const size_t first_peer = contenders.size();
  for (const Peer& peer : work.peers) contenders.push_back(peer.run);
  const bool bandwidth = work.limit && is_bandwidth(*work.limit);
  const auto times =
      time_in_turns(contenders, seconds_, bandwidth ? Operands::in_memory : Operands::in_caches);

  Result result;
  result.group = work.group;
  result.name = work.name;
  result.seconds = median(times[0]);
  result.bytes = work.bytes;
  result.operations = work.operations;
  result.limit = work.limit;
  result.wanted_share = work.wanted_share;
  result.wanted_seconds = work.wanted_seconds;
  if (work.limit) {
    const double amount = is_bandwidth(*work.limit) ? work.bytes : work.operations;
    result.limit_rate = limit->amount / median(times[1]);
    result.share = median_ratio(times[1], times[0]) * amount / limit->amount;
  }
  for (size_t i = 0; i < work.peers.size(); ++i) {
    result.peers.push_back(
        {work.peers[i].name, median_ratio(times[first_peer + i], times[0]), work.peers[i].wanted});
  }
  results_.push_back(result);
  print(result);
}

void Table::state(const std::string& group, const std::string& name, double value, const std::string& unit,
                  double wanted) {
  if (!wants(group, name)) return;
  stated_.push_back({group, name, unit, value, wanted});
  const bool met = stated_.back().met();
  if (group != last_group_) std::printf("%s\n", group.c_str());
  last_group_ = group;
  std::printf("  %-46s %10.3g %s%s\n", name.c_str(), value, unit.c_str(),
              wanted > 0 ? fmt::format("  (at most {:.3g}){}", wanted, met ? "" : "  SHORT").c_str() : "");
  std::fflush(stdout);
}

void Table::print(const Result& result) {
  if (result.group != last_group_) std::printf("%s\n", result.group.c_str());
  last_group_ = result.group;
  std::string line =
      fmt::format("  {:<46} {:>11} {:>13}", result.name, format_seconds(result.seconds), format_rate(result));
  if (result.limit) {
    line += fmt::format("  {:5.1f} % of {:.0f} {} ({})", 100 * result.share, result.limit_rate * 1e-9,
                        unit_of(*result.limit), name_of(*result.limit));
    if (result.wanted_share > 0) line += fmt::format(", wanted {:.0f} %", 100 * result.wanted_share);
  }
  if (result.wanted_seconds > 0) line += fmt::format("  at most {}", format_seconds(result.wanted_seconds));
  for (const Result::Ratio& peer : result.peers) {
    line += fmt::format("  {:.2f} x {}", peer.ratio, peer.peer);
    if (peer.wanted > 0) line += fmt::format(" (wanted {:.2f})", peer.wanted);
  }
  if (!result.met()) line += "  SHORT";
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

int Table::short_rows() const {
  int count = 0;
  for (const Stated& stated : stated_) count += stated.met() ? 0 : 1;
  for (const Result& result : results_) count += result.met() ? 0 : 1;
  return count;
}

std::string Table::to_json() const {
  nlohmann::json rows = nlohmann::json::array();
  for (const Result& result : results_) {
    nlohmann::json row{{"group", result.group},           {"name", result.name},
                       {"seconds", result.seconds},       {"bytes", result.bytes},
                       {"operations", result.operations}, {"met", result.met()}};
    if (result.limit) {
      row["limit"] = name_of(*result.limit);
      row["limit_rate"] = result.limit_rate;
      row["share"] = result.share;
      if (result.wanted_share > 0) row["wanted_share"] = result.wanted_share;
    }
    if (result.wanted_seconds > 0) row["wanted_seconds"] = result.wanted_seconds;
    for (const Result::Ratio& peer : result.peers) {
      row["peers"][peer.peer]["ratio"] = peer.ratio;
      if (peer.wanted > 0) row["peers"][peer.peer]["wanted"] = peer.wanted;
    }
    rows.push_back(std::move(row));
  }
  for (const Stated& stated : stated_) {
    nlohmann::json row{{"group", stated.group},
                       {"name", stated.name},
                       {"value", stated.value},
                       {"unit", stated.unit},
                       {"met", stated.met()}};
    if (stated.wanted > 0) row["wanted"] = stated.wanted;
    rows.push_back(std::move(row));
  }
  return nlohmann::json{{"threads", num_threads()}, {"rows", std::move(rows)}}.dump(2);
}

}  // namespace lazuli::bench
