import Foundation

/// Predicted against measured on logarithmic axes, as SVG: what lies on the diagonal is right.
struct ScatterPlot {
  /// One colour and one line of the legend.
  struct Series {
    let name: String
    let points: [(measured: Double, predicted: Double)]
  }

  let title: String
  /// What both axes show, with its unit.
  let quantity: String
  let series: [Series]

  private let size = 640.0, margin = 60.0
  /// Colours that are told apart without red against green (Okabe and Ito 2008), then greys.
  private let colours = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]

  /// The whole picture; the same bytes for the same points.
  var svg: String {
    let values = series.flatMap { $0.points.flatMap { [$0.measured, $0.predicted] } }.filter { $0 > 0 }
    guard let least = values.min(), let most = values.max() else { return "" }
    let low = floor(log10(least)), high = max(low + 1, ceil(log10(most)))
    func place(_ value: Double) -> Double { (log10(value) - low) / (high - low) * (size - 2 * margin) + margin }
    func x(_ value: Double) -> String { String(format: "%.1f", place(value)) }
    func y(_ value: Double) -> String { String(format: "%.1f", size - place(value)) }
    let side = Int(size), edge = Int(margin)

    var picture = Picture(width: side + 220, height: side)
    picture.text(title, "x='\(edge)' y='30' font-size='16'")
    for exponent in Int(low)...Int(high) {
      let tick = pow(10, Double(exponent))
      let label = exponent >= 0 && exponent < 6 ? String(format: "%.0f", tick) : String(format: "%g", tick)
      picture.path("M\(x(tick)) \(edge)V\(side - edge)M\(edge) \(y(tick))H\(side - edge)", "stroke='#ddd'")
      picture.text(label, "x='\(x(tick))' y='\(side - edge + 18)' text-anchor='middle'")
      picture.text(label, "x='\(edge - 8)' y='\(y(tick))' text-anchor='end' dy='4'")
    }
    // The diagonal, and ten per cent to either side of it.
    let ends = (pow(10, low), pow(10, high))
    for (factor, dash) in [(1.0, "none"), (1.1, "4 4"), (1 / 1.1, "4 4")] {
      picture.path(
        "M\(x(ends.0)) \(y(ends.0 * factor))L\(x(ends.1)) \(y(ends.1 * factor))",
        "stroke='#888' stroke-dasharray='\(dash)'")
    }
    picture.text("measured, \(quantity)", "x='\(side / 2)' y='\(side - 12)' text-anchor='middle'")
    picture.text("predicted, \(quantity)", "transform='translate(16 \(side / 2)) rotate(-90)' text-anchor='middle'")
    for (index, one) in series.enumerated() {
      let colour = colours[index % colours.count], opacity = index < colours.count ? "0.7" : "0.35"
      picture.path(
        one.points.map { "M\(x($0.measured)) \(y($0.predicted))h0" }.joined(),
        "stroke='\(colour)' stroke-opacity='\(opacity)' stroke-width='5' stroke-linecap='round'")
      let legend = edge + 20 * index
      picture.circle("cx='\(side - 20)' cy='\(legend)' r='4' fill='\(colour)' fill-opacity='\(opacity)'")
      picture.text("\(one.name) (\(one.points.count))", "x='\(side - 8)' y='\(legend + 4)'")
    }
    return picture.svg
  }
}
