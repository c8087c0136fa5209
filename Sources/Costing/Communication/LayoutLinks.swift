package import Documents
import Synchronization

/// The groups and boundaries of one mesh on a fabric: what its collectives and transfers run over.
///
/// A reference, since every strategy of the mesh holds it.
package final class LayoutLinks: Sendable {
  /// The mesh whose groups these are.
  package let mesh: Mesh
  let devicesPerNode: Int
  /// Consecutive ranks whose devices reach each other over links of their own.
  let domainSize: Int
  /// The slowest tensor group; all stages wait for theirs.
  package let tensorGroup: CommunicationGroup
  /// The slowest data-parallel group of each stage; one entry if all stages are alike.
  let dataGroups: [CommunicationGroup]
  /// Latency and seconds per byte between stage i and i + 1, the slowest sender and direction; one entry if all boundaries are alike.
  let boundaries: [Boundary]
  /// Between the last stage and the first, for chunks.
  let wrap: Boundary
  /// The slowest pair of a rank of the first and of the last stage, over which tied embeddings are reduced.
  let embeddingGroup: CommunicationGroup
  /// What workers reach each other over.
  let workers: Workers
  /// The first ranks of workers, of those that see links of their own.
  private let workerStarts: StrideTo<Int>
  private let fabric: Fabric
  private let shardGroups = ShardGroupMemo()
  private let expertGrids = Mutex<[Mesh: LayoutLinks]>([:])
  private let spacedGroups = Mutex<[RankGroup.Spacing: CommunicationGroup]>([:])

  /// α and β of a point-to-point transfer.
  struct Boundary: Sendable, Equatable {
    let latencySeconds: Double
    let secondsPerByte: Double

    func seconds(byteCount: Double) -> Double { latencySeconds + byteCount * secondsPerByte }

    static let none = Boundary(latencySeconds: 0, secondsPerByte: 0)
  }

  /// - Parameter rings: where data-parallel groups run, if their links are known to be slower than others could be.
  /// - Complexity: O(world size) on a measured cluster or unaligned groups, O(degrees) otherwise.
  package init(_ mesh: Mesh, on fabric: Fabric, rings: Fabric? = nil) {
    self.mesh = mesh
    self.fabric = fabric
    devicesPerNode = fabric.devicesPerNode
    domainSize = fabric.domainSize
    let t = mesh.degree(of: .tensor), p = mesh.degree(of: .pipeline)
    let replicas = mesh.replicas, stageSize = mesh.blockSize(below: .pipeline)
    let workerSize = mesh.blockSize(below: .worker)

    let tensorIsAligned = fabric.isAligned(t)
    tensorGroup = fabric.slowest(
      of: stride(from: 0, to: tensorIsAligned ? 1 : mesh.worldSize, by: t).lazy.map {
        RankGroup(first: $0, stride: 1, count: t)
      })
    let stageIsAligned =
      tensorIsAligned && fabric.isAligned(stageSize) && (workerSize == mesh.worldSize || fabric.isAligned(workerSize))
    isUniform = stageIsAligned
    // Of workers that see the same links one stands for all.
    let workerStarts = stride(from: 0, to: stageIsAligned ? 1 : mesh.worldSize, by: workerSize)
    self.workerStarts = workerStarts
    workers = Workers(mesh, on: fabric, isAligned: stageIsAligned)
    dataGroups = (0..<(stageIsAligned ? 1 : p)).map { stage in
      workerStarts.reduce(.alone) { slowest, worker in
        let first = worker + stage * stageSize
        return slowest.slower(
          (rings ?? fabric).slowest(
            of: (first..<first + (stageIsAligned ? 1 : replicas.stride)).lazy.map {
              RankGroup(first: $0, stride: replicas.stride, count: replicas.count)
            }))
      }
    }

    func boundary(from stage: Int, distance: Int) -> Boundary {
      // Both ends of a transfer between aligned stages are inside the same instances whichever rank sends.
      let senders = stageIsAligned ? 1 : stageSize
      // Activations go one way, gradients the other, over links that may have been measured to differ.
      func slower(_ byteCount: Double) -> Double {
        workerStarts.reduce(0) { slowest, worker in
          let first = worker + stage * stageSize
          return max(
            slowest,
            fabric.transferSeconds(first: first, count: senders, distance: distance, byteCount: byteCount),
            fabric.transferSeconds(first: first + distance, count: senders, distance: -distance, byteCount: byteCount))
        }
      }
      let probe = 1e9
      let latency = slower(0), seconds = slower(probe)
      return Boundary(latencySeconds: latency, secondsPerByte: (seconds - latency) / probe)
    }
    if p == 1 {
      boundaries = []
      wrap = .none
      embeddingGroup = .alone
    } else {
      // Where a stage fills whole instances of all levels but the last, every boundary crosses that one.
      let boundariesAreAlike = stageIsAligned && fabric.levels.dropLast().allSatisfy { stageSize % $0.span == 0 }
      boundaries = (0..<(boundariesAreAlike ? 1 : p - 1)).map { boundary(from: $0, distance: stageSize) }
      wrap = boundary(from: 0, distance: stageSize * (p - 1))
      embeddingGroup = fabric.slowest(
        of: workerStarts.lazy.flatMap { worker in
          (worker..<worker + (stageIsAligned ? 1 : stageSize)).lazy.map {
            RankGroup(first: $0, stride: stageSize * (p - 1), count: 2)
          }
        })
    }
  }

  /// Whether all groups of an axis see the same links, whichever stage or replica they belong to.
  let isUniform: Bool

  /// The data-parallel group of a stage.
  func dataGroup(ofStage stage: Int) -> CommunicationGroup {
    dataGroups.count == 1 ? dataGroups[0] : dataGroups[stage]
  }

  /// The boundary between a stage and the next.
  func boundary(afterStage stage: Int) -> Boundary {
    boundaries.count == 1 ? boundaries[0] : boundaries[stage]
  }

  /// The subgroups that a sharding communicates in, the same object for all strategies that ask.
  func shardGroups(_ sharding: Sharding) -> ShardGroups {
    shardGroups.groups(sharding) { ShardGroups(sharding, in: self) }
  }

  /// The groups that ranks which divide a sequence exchange in.
  ///
  /// - Complexity: O(world size) on a measured cluster or unaligned groups the first time, O(1) otherwise.
  func contextGroups(_ division: Strategy.ContextDivision) -> ContextGroups {
    guard division.degree > 1 else { return .none }
    return ContextGroups(
      heads: slowest(mesh.headSpacing(division)), sequence: slowest(mesh.sequenceSpacing(division)))
  }

  /// The links of the same ranks on the grid of experts, the same object for all strategies that ask.
  func expertLinks(_ mesh: Mesh) -> LayoutLinks {
    expertGrids.withLock { known in
      if let links = known[mesh] { return links }
      let links = LayoutLinks(mesh, on: fabric)
      known[mesh] = links
      return links
    }
  }

  /// The slowest of all groups so spaced among all ranks.
  ///
  /// - Complexity: O(world size) on a measured cluster or unaligned groups the first time, O(1) otherwise.
  func slowest(_ spacing: RankGroup.Spacing) -> CommunicationGroup {
    guard spacing.count > 1 else { return .alone }
    return spacedGroups.withLock { known in
      if let group = known[spacing] { return group }
      let extent = spacing.stride * spacing.count
      let isAlike = [spacing.stride, extent].allSatisfy { fabric.isAligned($0) || fabric.isAlignedInNode($0) }
      let group = fabric.slowest(
        of: (0..<(isAlike ? 1 : mesh.worldSize)).lazy.filter { $0 % extent < spacing.stride }.map {
          RankGroup(first: $0, stride: spacing.stride, count: spacing.count)
        })
      known[spacing] = group
      return group
    }
  }

  /// Groups so spaced among the replicas of a data-parallel group: the slowest of each stage, or one entry if all stages
  /// are alike.
  ///
  /// - Parameter withHops: whether quantised gradients may be exchanged in them.
  /// - Complexity: O(world size) on a measured cluster or unaligned groups, O(count) otherwise.
  func subgroups(_ spacing: RankGroup.Spacing, withHops: Bool) -> [ShardGroup] {
    let count = spacing.count
    if count == 1 { return [.alone] }
    let replicas = mesh.replicas, stageSize = mesh.blockSize(below: .pipeline)
    // Members lie in consecutive blocks of `step` ranks, each at the same place.
    let step = replicas.stride * spacing.stride, extent = step * count
    let isAlike = [step, extent].allSatisfy { fabric.isAligned($0) || fabric.isAlignedInNode($0) }
    return (0..<(isAlike ? 1 : mesh.degree(of: .pipeline))).map { stage in
      let groups = workerStarts.lazy.flatMap { worker in
        let first = worker + stage * stageSize
        return (first..<(isAlike ? first + 1 : first + stageSize)).lazy.filter { ($0 - first) % extent < step }
          .map { RankGroup(first: $0, stride: step, count: count) }
      }
      // The whole group's links may be known to be slower, see `init`.
      let group = count == replicas.count ? dataGroup(ofStage: stage) : fabric.slowest(of: groups)
      return ShardGroup(group: group, hops: withHops ? hops(of: groups) : nil)
    }
  }

  /// How groups that leave their nodes exchange quantised gradients; nil if they lie on their nodes unevenly, or each in its
  /// own way.
  private func hops(of groups: some Sequence<RankGroup>) -> ShardGroup.Hops? {
    var result: ShardGroup.Hops?
    for group in groups where group.rank(group.count - 1) / devicesPerNode > group.first / devicesPerNode {
      guard let quantisation = ShardQuantisation(group, devicesPerNode: devicesPerNode),
        result == nil || quantisation == result?.quantisation
      else { return nil }
      let split = quantisation.split
      let own = ShardGroup.Hops(
        quantisation: quantisation, inside: fabric.group(group.part(fromPlace: 0, count: split.insideCount)),
        across: fabric.group(group.part(fromPlace: 0, step: split.insideCount, count: split.acrossCount)))
      result = result?.slower(own) ?? own
    }
    return result
  }
}

/// What was asked of a layout's subgroups before: pricing asks for the same few shardings again and again.
private final class ShardGroupMemo: Sendable {
  private let known = Mutex<[ShardGroups]>([])

  func groups(_ sharding: Sharding, compute: () -> ShardGroups) -> ShardGroups {
    known.withLock { known in
      if let groups = known.first(where: { $0.sharding == sharding }) { return groups }
      let groups = compute()
      known.append(groups)
      return groups
    }
  }
}

extension Fabric {
  fileprivate func group(_ ranks: RankGroup) -> CommunicationGroup {
    group(first: ranks.first, stride: ranks.stride, count: ranks.count)
  }

  fileprivate func slowest(of groups: some Sequence<RankGroup>) -> CommunicationGroup {
    groups.reduce(.alone) { $0.slower(group($1)) }
  }
}
