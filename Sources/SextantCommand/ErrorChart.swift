import Foundation

/// Errors of predictions by group, as SVG: a row a group, a tick an error, the middle half as a bar and the median on it.
struct ErrorChart {
  let title: String
  /// Errors, predicted over measured minus one.
  let groups: [(name: String, errors: [Double])]

  private let width = 860.0, labels = 220.0, margin = 40.0, rowHeight = 24.0
  /// Errors beyond this are drawn at the edge.
  private let edge = 0.5

  /// The whole picture; the same bytes for the same errors. Empty without errors.
  var svg: String {
    let rows = groups.filter { !$0.errors.isEmpty }
    guard !rows.isEmpty else { return "" }
    let top = 60.0
    let height = top + rowHeight * Double(rows.count) + 50
    func x(_ error: Double) -> String {
      let share = (min(max(error, -edge), edge) + edge) / (2 * edge)
      return String(format: "%.1f", labels + share * (width - labels - margin))
    }
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Int(width)) \(Int(height))\" font-family=\"sans-serif\" font-size=\"12\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
      "<text x=\"16\" y=\"30\" font-size=\"16\">\(title.xmlEscaped)</text>",
    ]
    let bottom = height - 50
    for tick in stride(from: -50, through: 50, by: 10) {
      let place = x(Double(tick) / 100)
      lines.append(
        "<path d=\"M\(place) \(Int(top) - 8)V\(Int(bottom))\" stroke=\"\(tick == 0 ? "#888" : "#ddd")\"/>")
      let sign = tick > 0 ? "+" : ""
      lines.append("<text x=\"\(place)\" y=\"\(Int(bottom) + 18)\" text-anchor=\"middle\">\(sign)\(tick) %</text>")
    }
    lines.append(
      "<text x=\"\(x(0))\" y=\"\(Int(bottom) + 38)\" text-anchor=\"middle\">predicted / measured − 1</text>")
    for (index, row) in rows.enumerated() {
      let sorted = row.errors.sorted()
      let y = top + rowHeight * (Double(index) + 0.5)
      func quantile(_ share: Double) -> String { x(sorted[Int(share * Double(sorted.count - 1))]) }
      lines.append(
        "<text x=\"\(Int(labels) - 12)\" y=\"\(Int(y) + 4)\" text-anchor=\"end\">\(row.name.xmlEscaped) (\(sorted.count))</text>"
      )
      let ticks = sorted.map { "M\(x($0)) \(Int(y) - 6)v12" }.joined()
      lines.append("<path d=\"\(ticks)\" stroke=\"#0072B2\" stroke-opacity=\"0.35\"/>")
      lines.append(
        "<path d=\"M\(quantile(0.25)) \(Int(y))H\(quantile(0.75))\" stroke=\"#E69F00\" stroke-width=\"6\"/>")
      lines.append("<path d=\"M\(quantile(0.5)) \(Int(y) - 9)v18\" stroke=\"black\" stroke-width=\"2\"/>")
    }
    return lines.joined(separator: "\n") + "\n</svg>\n"
  }
}

extension String {
  /// The text as the content of an XML element.
  var xmlEscaped: String {
    replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;")
  }
}
