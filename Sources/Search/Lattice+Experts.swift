import Costing
import Documents

/// Experts that ranks divide: which degrees are looked at, and how tokens reach them.
extension Lattice {
  /// How the experts of a job's model may be divided on a mesh, undivided first; of another model not at all.
  ///
  /// Their width is divided as far as matrices of other layers are, or not at all; other degrees only where they are fixed.
  func expertDivisions(_ mesh: Mesh) -> [Strategy.ExpertDivision] {
    guard let experts = model.job.model.experts else {
      let fixed = Strategy.ExpertDivision(
        expertDegree: pattern.expertDegree ?? 1, tensorDegree: pattern.expertTensorDegree ?? 1,
        dispatcher: pattern.dispatcher ?? .allToAll, overlaps: pattern.overlapsExperts ?? false)
      return [fixed]
    }
    let stageSize = mesh.blockSize(below: .pipeline), t = mesh.degree(of: .tensor)
    let offer = capabilities?.experts
    let widths = pattern.expertTensorDegree.map { [$0] } ?? (t > 1 && offer?.dividesWidth ?? true ? [1, t] : [1])
    let degrees = divisors(of: experts.count).filter { pattern.expertDegree ?? $0 == $0 }
    let dispatchers =
      pattern.dispatcher.map { [$0] }
      ?? Self.searchedDispatchers.filter {
        offer?.dispatchers.contains($0) ?? true
      }
    let overlaps = pattern.overlapsExperts.map { [$0] } ?? (offer?.overlaps ?? true ? [false, true] : [false])
    return widths.flatMap { width in
      degrees.filter { stageSize % ($0 * width) == 0 }.flatMap { degree in
        // Without ranks to send to there is one way.
        (degree == 1 ? dispatchers.prefix(1) : dispatchers[...]).filter { !$0.sendsOnce || width == 1 }.flatMap {
          dispatcher in
          overlaps.filter { !$0 || degree > 1 }.map {
            Strategy.ExpertDivision(
              expertDegree: degree, tensorDegree: width, dispatcher: dispatcher, overlaps: $0)
          }
        }
      }
    }
  }

  /// Gathering all tokens sends more than the others; HybridEP is priced as DeepEP is.
  private static let searchedDispatchers = [Strategy.Dispatcher.allToAll, .deepEP]
}
