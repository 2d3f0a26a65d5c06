#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "table.h"

namespace lazuli::bench {
namespace {

constexpr double width = 960, height = 560, margin = 70;
// The chart's range: operations a byte, and GFLOP/s.
constexpr double least_intensity = 0.01, most_intensity = 4000;
constexpr double least_rate = 0.1, most_rate = 10000;

double x_of(double intensity) {
  const double clamped = std::clamp(intensity, least_intensity, most_intensity);
  return margin + (width - 2 * margin) * std::log(clamped / least_intensity) /
                      std::log(most_intensity / least_intensity);
}
double y_of(double rate) {
  const double clamped = std::clamp(rate, least_rate, most_rate);
  return height - margin -
         (height - 2 * margin) * std::log(clamped / least_rate) / std::log(most_rate / least_rate);
}

std::string escaped(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else if (c == '"')
      result += "&quot;";
    else
      result += c;
  }
  return result;
}

/// The slope of a bandwidth or the ceiling of an arithmetic rate.
std::string roof(Limit limit, double rate) {
  std::string line;
  double x = 0, y = 0;
  if (is_bandwidth(limit)) {
    const double top = most_rate * 1e9 / rate;  // where the slope leaves the chart
    x = x_of(std::min(top, most_intensity));
    y = y_of(rate * 1e-9 * std::min(top, most_intensity));
    line = fmt::format(R"(<line class="roof" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)",
                       x_of(least_rate * 1e9 / rate), y_of(least_rate), x, y);
    return line + fmt::format(R"(<text class="label" x="{:.1f}" y="{:.1f}">{} {:.0f} GB/s</text>)", x + 4,
                              y + 12, name_of(limit), rate * 1e-9);
  }
  y = y_of(rate * 1e-9);
  line = fmt::format(R"(<line class="roof" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", margin, y,
                     width - margin, y);
  return line + fmt::format(R"(<text class="label" x="{:.1f}" y="{:.1f}">{} {:.0f} {}</text>)", margin + 6,
                            y - 4, name_of(limit), rate * 1e-9, unit_of(limit));
}

std::string axes() {
  std::string svg;
  for (double rate = least_rate; rate <= most_rate * 1.01; rate *= 10) {
    svg += fmt::format(
        R"(<line class="grid" x1="{0:.1f}" y1="{2:.1f}" x2="{1:.1f}" y2="{2:.1f}"/><text class="tick" x="{3:.1f}" y="{2:.1f}">{4:g}</text>)",
        margin, width - margin, y_of(rate), margin - 34, rate);
  }
  for (double intensity = least_intensity; intensity <= most_intensity; intensity *= 10) {
    svg += fmt::format(
        R"(<line class="grid" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}"/><text class="tick" x="{0:.1f}" y="{3:.1f}">{4:g}</text>)",
        x_of(intensity), margin, height - margin, height - margin + 18, intensity);
  }
  return svg +
         fmt::format(
             R"(<text class="tick" x="{:.1f}" y="{:.1f}">operations a byte</text><text class="tick" x="8" y="{:.1f}">GFLOP/s</text>)",
             width / 2 - 50, height - 18, margin - 14);
}

}  // namespace

std::string roofline_page(const std::vector<Result>& results) {
  std::string roofs, dots, rows;
  std::set<Limit> drawn;
  for (const Result& result : results) {
    if (result.limit && drawn.insert(*result.limit).second) roofs += roof(*result.limit, result.limit_rate);
    const std::string name = escaped(result.group + ": " + result.name);
    const double share = 100 * result.share;
    if (result.bytes > 0 && result.seconds > 0) {
      // Work without counted operations still moves elements: one a float, so that it has a place.
      const double operations = result.operations > 0 ? result.operations : result.bytes / 4;
      dots += fmt::format(
          R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}: {:.1f} %</title></circle>)",
          result.met() ? "met" : "short", x_of(operations / result.bytes),
          y_of(operations / result.seconds * 1e-9), name, share);
    }
    std::string peers;
    for (const Result::Ratio& peer : result.peers)
      peers += fmt::format("{:.2f} x {} ", peer.ratio, escaped(peer.peer));
    rows +=
        fmt::format("<tr class=\"{}\"><td>{}</td><td>{:.3f} ms</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    result.met() ? "met" : "short", name, result.seconds * 1e3,
                    result.limit ? fmt::format("{:.1f} % of the {}", share, name_of(*result.limit)) : "",
                    result.wanted_share > 0 ? fmt::format("{:.0f} %", 100 * result.wanted_share) : "", peers);
  }
  return fmt::format(R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Lazuli: kernels against the machine's limits</title>
<style>
body {{ font: 14px sans-serif; margin: 2em; color: #222; }}
.grid {{ stroke: #e4e4e4; }} .roof {{ stroke: #26619c; stroke-width: 1.5; }}
.label {{ font-size: 11px; fill: #26619c; }} .tick {{ font-size: 11px; fill: #666; }}
circle.met {{ fill: #26619c; fill-opacity: .75; }} circle.short {{ fill: #c0392b; fill-opacity: .85; }}
td {{ padding: 2px 14px 2px 0; }} tr.short td {{ color: #c0392b; }}
</style></head><body>
<h1>Kernels against the machine's limits</h1>
<svg viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}">{}{}{}</svg>
<table><tr><th>work</th><th>time</th><th>share of the limit</th><th>wanted</th><th>peers</th></tr>
{}</table></body></html>
)",
                     width, height, width, axes(), roofs, dots, rows);
}

}  // namespace lazuli::bench
