import Documents
import Foundation

/// The matrix of rates as a standalone SVG: a square per directed pair, sender in the row, dark where slow.
struct LinkHeatMap {
  let links: MeasuredLinks

  /// Colours from slow to fast that are told apart without red against green and in grey (viridis, Smith and van der
  /// Walt 2015), at equal steps.
  private static let colours = [
    "#440154", "#481467", "#482576", "#453781", "#404688", "#39558c", "#33638d", "#2d718e", "#287d8e", "#238a8d",
    "#1f968b", "#20a386", "#29af7f", "#3cbc75", "#56c667", "#74d055", "#94d840", "#b8de29", "#dce319", "#fde725",
  ]

  /// The whole picture; the same bytes for the same links. Empty where no pair was measured.
  var svg: String {
    let count = links.nodeNames.count
    let rates = (0..<count).map { from in
      (0..<count).map { to in from == to ? nil : links.medianBytesPerSecond(from: from, to: to) }
    }
    let all = rates.flatMap { $0.compactMap { $0 } }
    guard let low = all.min(), let high = all.max() else { return "" }
    let named = count <= 64
    let cell = max(2, min(32, 960 / count)), side = cell * count
    let margin = named ? 8 * min(24, links.nodeNames.map(\.count).max() ?? 0) + 20 : 40
    let width = margin + side + 160, height = margin + side + 40
    var picture = Picture(width: width, height: height)
    picture.text("\(links.name): from row to column", "x='8' y='16' font-size='14'")
    // One path a colour keeps pictures of a thousand nodes small.
    var paths = [String](repeating: "", count: Self.colours.count)
    var missing = ""
    for from in 0..<count {
      for to in 0..<count where from != to {
        let square = "M\(margin + to * cell) \(margin + from * cell)h\(cell)v\(cell)h-\(cell)z"
        guard let rate = rates[from][to] else {
          missing += square
          continue
        }
        let share = high > low ? (rate - low) / (high - low) : 1
        paths[min(Self.colours.count - 1, Int(share * Double(Self.colours.count)))] += square
      }
    }
    for (path, colour) in zip(paths, Self.colours) where !path.isEmpty { picture.path(path, "fill='\(colour)'") }
    if !missing.isEmpty { picture.path(missing, "fill='#ccc'") }
    if named {
      for (index, name) in links.nodeNames.enumerated() {
        let middle = margin + index * cell + cell / 2 + 4
        let label = name.count > 24 ? "\(name.prefix(23))…" : name
        picture.text(label, "x='\(margin - 6)' y='\(middle)' text-anchor='end'")
        picture.text(label, "transform='translate(\(middle) \(margin - 6)) rotate(-90)' text-anchor='start'")
      }
      if count <= 32 {
        for from in 0..<count {
          for to in 0..<count where from != to {
            let rate = rates[from][to].map(Format.linkRate) ?? "not measured"
            let origin = links.isInferred(from: from, to: to) ? ", inferred" : ""
            picture.rectangle(
              "x='\(margin + to * cell)' y='\(margin + from * cell)' width='\(cell)' height='\(cell)' fill-opacity='0'",
              title: "\(links.nodeNames[from]) → \(links.nodeNames[to]): \(rate)\(origin)")
          }
        }
      }
    }
    let x = margin + side + 20, step = 12
    for (index, colour) in Self.colours.reversed().enumerated() {
      picture.rectangle("x='\(x)' y='\(margin + index * step)' width='16' height='\(step)' fill='\(colour)'")
    }
    picture.text(Format.linkRate(high), "x='\(x + 24)' y='\(margin + 10)'")
    picture.text(Format.linkRate(low), "x='\(x + 24)' y='\(margin + Self.colours.count * step)'")
    if !missing.isEmpty {
      let y = margin + (Self.colours.count + 1) * step
      picture.rectangle("x='\(x)' y='\(y)' width='16' height='\(step)' fill='#ccc'")
      picture.text("not measured", "x='\(x + 24)' y='\(y + 10)'")
    }
    return picture.svg
  }
}
