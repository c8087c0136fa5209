import Costing
import Documents

/// Pipeline schedules: which are looked at on a mesh.
extension Lattice {
  /// What is fixed of the schedule, and every number of chunks and every way to split backward passes of the rest.
  func schedules(_ mesh: Mesh) -> [Strategy.Schedule] {
    let p = mesh.degree(of: .pipeline), layers = model.job.model.layerCount
    let equal = p > 1 && layers % p == 0 ? divisors(of: layers / p) : [1]
    let chunkCounts = p > 1 ? unevenChunkCounts(stageCount: p, equal: equal) : equal
    let whole = (pattern.virtualStageCount.map { [$0] } ?? chunkCounts).map(Strategy.Schedule.init(chunkCount:))
    return (whole + (p > 1 ? splitSchedules(equal) : [])).filter {
      pattern.scheduleName ?? $0.name == $0.name && pattern.virtualStageCount ?? $0.chunkCount == $0.chunkCount
    }
  }

  /// Chunks a stage where these may differ in their layers.
  ///
  /// - Parameter equal: those that make equal chunks.
  private func unevenChunkCounts(stageCount p: Int, equal: [Int]) -> [Int] {
    let layers = model.job.model.layerCount
    guard model.job.model.hasAlikeLayers else {
      guard capabilities?.limits.interleavesUnevenChunks != false else { return equal }
      // Layouts are many, and further chunks gain ever less.
      let few = Self.layoutChunkCounts.filter { $0 * p <= layers + 2 }
      return Set(equal + few).sorted()
    }
    // Embedding and head count as a layer each where that makes equal chunks.
    let countsEnds = layers % p != 0 && (layers + 2) % p == 0 && capabilities?.limits.interleavesUnevenChunks == true
    return countsEnds ? divisors(of: (layers + 2) / p) : equal
  }

  /// Chunks a stage that are looked at where their layers may differ.
  private static let layoutChunkCounts = [1, 2, 4]

  /// Schedules with split backward passes, of chunk counts that divide the layers: those that the framework offers, and one
  /// that is fixed.
  private func splitSchedules(_ chunkCounts: [Int]) -> [Strategy.Schedule] {
    let all = chunkCounts.map(Strategy.Schedule.zeroBubble(chunkCount:)) + [.zeroBubbleV, .dualPipeV]
    return all.filter { schedule in
      pattern.scheduleName == schedule.name
        || capabilities?.splitBackward.contains { $0.runs(schedule) } ?? false
    }
  }
}
