import Documents
import Foundation

/// Errors of predictions by group, as SVG: a row a group, a tick an error, the middle
/// half as a bar and the median on it.
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
    var picture = Picture(width: Int(width), height: Int(height))
    picture.text(title, "x='16' y='30' font-size='16'")
    let bottom = Int(height) - 50
    for tick in stride(from: -50, through: 50, by: 10) {
      let place = x(Double(tick) / 100)
      picture.path("M\(place) \(Int(top) - 8)V\(bottom)", "stroke='\(tick == 0 ? "#888" : "#ddd")'")
      picture.text("\(tick > 0 ? "+" : "")\(tick) %", "x='\(place)' y='\(bottom + 18)' text-anchor='middle'")
    }
    picture.text("predicted / measured − 1", "x='\(x(0))' y='\(bottom + 38)' text-anchor='middle'")
    for (index, row) in rows.enumerated() {
      let y = Int(top + rowHeight * (Double(index) + 0.5))
      func quantile(_ share: Double) -> String { x(row.errors.quantile(share) ?? 0) }
      picture.text("\(row.name) (\(row.errors.count))", "x='\(Int(labels) - 12)' y='\(y + 4)' text-anchor='end'")
      let ticks = row.errors.sorted().map { "M\(x($0)) \(y - 6)v12" }.joined()
      picture.path(ticks, "stroke='#0072B2' stroke-opacity='0.35'")
      picture.path("M\(quantile(0.25)) \(y)H\(quantile(0.75))", "stroke='#E69F00' stroke-width='6'")
      picture.path("M\(quantile(0.5)) \(y - 9)v18", "stroke='black' stroke-width='2'")
    }
    return picture.svg
  }
}
