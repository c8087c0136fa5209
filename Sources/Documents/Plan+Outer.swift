import JSONText

/// What a launcher of workers with outer steps has to know of a plan: the framework that runs a worker knows nothing of the
/// others.
extension Plan {
  /// The round, the outer step, and the ranks of each worker; nil for plans without.
  var outerSection: JSON? {
    guard strategy.update == .outer else { return nil }
    let outer = strategy.outer
    guard case .object(let settings) = job.outer.json else { return nil }
    let own: [JSONMember] = [
      JSONMember("period", .integer(outer.period)), JSONMember("staleness", .integer(outer.staleness)),
      JSONMember("format", .string(outer.format.rawValue)),
      JSONMember("states", .string(outer.isHosted ? "host" : "device")),
    ]
    let workers = (0..<strategy.workerDegree).map { worker in
      let ranks = strategy.mesh.block(worker, below: .worker)
      return object(("first_rank", .integer(ranks.lowerBound)), ("rank_count", .integer(ranks.count)))
    }
    return .object(own + settings + [JSONMember("workers", .array(workers))])
  }
}
