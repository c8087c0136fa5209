import Documents
import Glibc

/// Bounded, robust, regularised non-linear least squares by Levenberg–Marquardt.
///
/// Minimises `Σ wᵢ ρ(rᵢ(x)) + c² Σ ((xⱼ − priorⱼ)/spreadⱼ)²` over a box, with Cauchy's loss
/// `ρ(r) = c² log(1 + (r/c)²)`: a run that is off by many times c, because the machine was broken while it ran, pulls
/// hardly at all. Levenberg–Marquardt (Marquardt 1963) with reweighting (Holland and Welsch 1977) is small enough to
/// own: a few dozen unknowns, a thousand residuals, derivatives by differences; steps out of the box are cut back
/// to it.
struct RobustLeastSquares {
  /// One unknown.
  struct Unknown: Sendable {
    let lower: Double
    let upper: Double
    /// Where it is without data, and how far from there it may plausibly be.
    let prior: Double
    let spread: Double
  }

  /// What was found.
  struct Solution: Sendable {
    var values: [Double]
    /// Standard deviation that data and prior together leave each unknown.
    var deviations: [Double]
    /// Whether the search ended because no step improved, and not because it ran out of steps.
    var hasConverged: Bool
  }

  /// A step that improves the loss by a smaller share than this is the last.
  static let leastGain = 1e-5

  let unknowns: [Unknown]
  /// Residuals beyond this are treated more and more as outliers.
  let lossScale: Double
  /// Steps at most: the search stops by itself when they no longer improve.
  let iterationLimit: Int
  /// What each residual counts; 1 where there are fewer weights than residuals.
  var weights: [Double] = []

  /// - Parameters:
  ///   - begin: where the search begins; nil is at the priors.
  ///   - residuals: as many for any values within the bounds; not finite counts as a very bad fit.
  func solve(from begin: [Double]? = nil, _ residuals: ([Double]) -> [Double]) -> Solution {
    var x = begin.map { zip($0, unknowns).map { min(max($0, $1.lower), $1.upper) } } ?? unknowns.map(\.prior)
    var r = residuals(x)
    var loss = loss(r, x)
    var damping = 1e-3
    var hasConverged = false
    for _ in 0..<iterationLimit {
      let (normal, gradient) = normalEquations(at: x, r, residuals)
      var improved = false
      // A step that does not improve is tried again, shorter.
      for _ in 0..<12 {
        guard let step = solveDamped(normal, gradient, damping: damping) else {
          damping *= 10
          continue
        }
        let next = zip(zip(x, step), unknowns).map { min(max($0.0 - $0.1, $1.lower), $1.upper) }
        let nextResiduals = residuals(next)
        let nextLoss = self.loss(nextResiduals, next)
        if nextLoss < loss {
          let gain = (loss - nextLoss) / max(loss, 1e-300)
          (x, r, loss) = (next, nextResiduals, nextLoss)
          damping = max(damping / 5, 1e-9)
          improved = gain > Self.leastGain
          break
        }
        damping *= 4
      }
      if !improved {
        hasConverged = true
        break
      }
    }
    let (normal, _) = normalEquations(at: x, r, residuals)
    // The robust scale of the residuals turns curvature into a variance.
    let scale = max((r.map(abs).median ?? 0) * 1.4826, 1e-3)
    let deviations = inverseDiagonal(normal, noise: scale * scale).map { $0.squareRoot() }
    return Solution(values: x, deviations: deviations, hasConverged: hasConverged)
  }

  private func loss(_ residuals: [Double], _ x: [Double]) -> Double {
    var sum = 0.0
    for (index, r) in residuals.enumerated() {
      let scaled = r.isFinite ? r / lossScale : 1e6
      sum += weight(index) * lossScale * lossScale * log1p(scaled * scaled)
    }
    for (value, unknown) in zip(x, unknowns) {
      let away = (value - unknown.prior) / unknown.spread
      sum += priorWeight * away * away
    }
    return sum
  }

  private func weight(_ index: Int) -> Double { index < weights.count ? weights[index] : 1 }

  /// The prior counts like one residual of the loss scale at one spread.
  private var priorWeight: Double { lossScale * lossScale }

  private func normalEquations(
    at x: [Double], _ r: [Double], _ residuals: ([Double]) -> [Double]
  ) -> (matrix: [[Double]], gradient: [Double]) {
    let n = x.count
    var columns: [[Double]] = []
    for index in x.indices {
      var moved = x
      let width = max(1e-4 * unknowns[index].spread, 1e-7)
      // Away from the bound that is near.
      let step = x[index] + width <= unknowns[index].upper ? width : -width
      moved[index] += step
      columns.append(zip(residuals(moved), r).map { ($0 - $1) / step })
    }
    let weights = r.enumerated().map { index, r in
      r.isFinite ? weight(index) / (1 + (r / lossScale) * (r / lossScale)) : 0
    }
    var matrix = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    var gradient = [Double](repeating: 0, count: n)
    for i in 0..<n {
      for k in r.indices where weights[k] > 0 && columns[i][k].isFinite {
        gradient[i] += weights[k] * columns[i][k] * r[k]
        for j in 0...i where columns[j][k].isFinite { matrix[i][j] += weights[k] * columns[i][k] * columns[j][k] }
      }
      let curvature = priorWeight / (unknowns[i].spread * unknowns[i].spread)
      matrix[i][i] += curvature
      gradient[i] += curvature * (x[i] - unknowns[i].prior)
    }
    for i in 0..<n { for j in 0..<i { matrix[j][i] = matrix[i][j] } }
    return (matrix, gradient)
  }

  private func solveDamped(_ matrix: [[Double]], _ gradient: [Double], damping: Double) -> [Double]? {
    var damped = matrix
    for i in damped.indices { damped[i][i] *= 1 + damping }
    guard let factor = cholesky(damped) else { return nil }
    return solveFactored(factor, gradient)
  }

  /// Diagonal of the inverse of `matrix / noise` with the prior's part kept as it is.
  private func inverseDiagonal(_ matrix: [[Double]], noise: Double) -> [Double] {
    var scaled = matrix
    for i in scaled.indices {
      let prior = priorWeight / (unknowns[i].spread * unknowns[i].spread)
      for j in scaled[i].indices { scaled[i][j] = (matrix[i][j] - (i == j ? prior : 0)) / noise }
      scaled[i][i] += 1 / (unknowns[i].spread * unknowns[i].spread)
    }
    guard let factor = cholesky(scaled) else { return unknowns.map { $0.spread * $0.spread } }
    return scaled.indices.map { i in
      var unit = [Double](repeating: 0, count: scaled.count)
      unit[i] = 1
      return solveFactored(factor, unit)[i]
    }
  }
}

/// The lower triangular L with L·Lᵀ = matrix; nil when the matrix is not positive definite.
private func cholesky(_ matrix: [[Double]]) -> [[Double]]? {
  var factor = matrix
  for i in matrix.indices {
    for j in 0...i {
      var sum = matrix[i][j]
      for k in 0..<j { sum -= factor[i][k] * factor[j][k] }
      if i == j {
        guard sum > 0, sum.isFinite else { return nil }
        factor[i][i] = sum.squareRoot()
      } else {
        factor[i][j] = sum / factor[j][j]
      }
    }
  }
  return factor
}

/// Solves L·Lᵀ·x = right.
private func solveFactored(_ factor: [[Double]], _ right: [Double]) -> [Double] {
  var x = right
  for i in x.indices {
    for k in 0..<i { x[i] -= factor[i][k] * x[k] }
    x[i] /= factor[i][i]
  }
  for i in x.indices.reversed() {
    for k in (i + 1)..<max(i + 1, x.count) { x[i] -= factor[k][i] * x[k] }
    x[i] /= factor[i][i]
  }
  return x
}
