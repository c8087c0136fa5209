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
    let widths = pattern.expertTensorDegree.map { [$0] } ?? (t > 1 ? [1, t] : [1])
    // A width that is fixed and not offered is left for the refusal to name.
    let widthOffer = pattern.expertTensorDegree == nil ? offer : nil
    let degrees = divisors(of: experts.count).filter { pattern.expertDegree ?? $0 == $0 }
    let overlaps = pattern.overlapsExperts.map { [$0] } ?? (offer?.overlaps ?? true ? [false, true] : [false])
    return widths.flatMap { width in
      degrees.filter {
        stageSize % ($0 * width) == 0 && widthOffer?.divides(width: width, expertDegree: $0, tensorDegree: t) ?? true
      }.flatMap { degree in
        dispatchers(width: width, expertDegree: degree).filter { !$0.sendsOnce || width == 1 }.flatMap { dispatcher in
          overlaps.filter { !$0 || degree > 1 }.map {
            Strategy.ExpertDivision(
              expertDegree: degree, tensorDegree: width, dispatcher: dispatcher, overlaps: $0)
          }
        }
      }
    }
  }

  /// How tokens may reach experts of such degrees; without ranks to send to there is one way.
  ///
  /// Gathering all tokens sends more than the others, and is looked at only where nothing else is offered; of the ways that
  /// send a token once, which are priced alike, the first that is offered.
  private func dispatchers(width: Int, expertDegree: Int) -> [Strategy.Dispatcher] {
    if let fixed = pattern.dispatcher { return [fixed] }
    let offered =
      capabilities?.experts?.dispatchers(width: width, expertDegree: expertDegree, precision: model.job.precision)
      ?? [.allToAll, .deepEP]
    if expertDegree == 1 { return Array(offered.prefix(1)) }
    let searched = offered.filter { $0 == .allToAll } + offered.filter(\.sendsOnce).prefix(1)
    return searched.isEmpty ? offered : searched
  }
}
