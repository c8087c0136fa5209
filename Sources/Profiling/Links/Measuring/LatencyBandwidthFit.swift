import Documents

/// The time of a message as t(s) = α + s/β (Hockney 1994): α seconds until anything arrives, β bytes per second after.
package struct LatencyBandwidthFit: Sendable, Equatable {
  package let alphaSeconds: Double
  package let betaBytesPerSecond: Double

  /// Fits by least squares of relative residuals with Cauchy's weights: times span four orders of magnitude, and a size
  /// that met a hiccup pulls hardly at all. α is not negative.
  ///
  /// - Parameter points: message bytes and seconds, all positive.
  /// - Returns: nil with fewer than two sizes, or when times do not grow with size.
  package init?(points: [(bytes: Double, seconds: Double)]) {
    guard Set(points.map(\.bytes)).count >= 2 else { return nil }
    var robust = [Double](repeating: 1, count: points.count)
    var solution: (alpha: Double, inverseBeta: Double)?
    for _ in 0..<50 {
      guard let next = Self.weighted(points, robust) else { return nil }
      let residuals = points.map { abs(next.alpha + $0.bytes * next.inverseBeta - $0.seconds) / $0.seconds }
      // The median residual is the scale; a floor keeps an exact fit from turning all weight to two points.
      let scale = max(2 * (residuals.median ?? 0), 0.01)
      robust = residuals.map { 1 / (1 + ($0 / scale) * ($0 / scale)) }
      let isSettled = solution.map {
        abs($0.inverseBeta - next.inverseBeta) <= 1e-9 * next.inverseBeta && abs($0.alpha - next.alpha) <= 1e-12
      }
      solution = next
      if isSettled == true { break }
    }
    guard let solution, solution.inverseBeta > 0 else { return nil }
    alphaSeconds = solution.alpha
    betaBytesPerSecond = 1 / solution.inverseBeta
  }

  private static func weighted(
    _ points: [(bytes: Double, seconds: Double)], _ robust: [Double]
  ) -> (alpha: Double, inverseBeta: Double)? {
    // Normal equations of  Σ wᵢ (α + sᵢ/β − tᵢ)²,  wᵢ = robustᵢ / tᵢ².
    var w = 0.0, s = 0.0, ss = 0.0, t = 0.0, st = 0.0
    for (point, weight) in zip(points, robust) {
      let weight = weight / (point.seconds * point.seconds)
      w += weight
      s += weight * point.bytes
      ss += weight * point.bytes * point.bytes
      t += weight * point.seconds
      st += weight * point.bytes * point.seconds
    }
    let determinant = w * ss - s * s
    guard determinant > 0 else { return nil }
    let alpha = (ss * t - s * st) / determinant
    if alpha >= 0 { return (alpha, (w * st - s * t) / determinant) }
    return ss > 0 ? (0, st / ss) : nil
  }
}

extension DirectionMeasurement {
  /// α and β of the streams that deliver most, the ping included.
  var fit: LatencyBandwidthFit? {
    guard let best else { return nil }
    let points = sizes.filter { $0.streamCount == best.streamCount }.map { (Double($0.messageBytes), $0.medianSeconds) }
    return LatencyBandwidthFit(points: [(1, latencySeconds)] + points)
  }

  /// What the link delivers: the largest message, over the number of streams with which it is fastest.
  var best: Size? {
    var best: Size?
    for streamCount in Set(sizes.map(\.streamCount)).sorted() {
      guard let largest = sizes.last(where: { $0.streamCount == streamCount }) else { continue }
      if largest.bytesPerSecond > best?.bytesPerSecond ?? 0 { best = largest }
    }
    return best
  }
}
