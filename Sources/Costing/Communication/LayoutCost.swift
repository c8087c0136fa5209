public import Documents

/// The groups and boundaries of one layout on a fabric: what its collectives and transfers run over.
///
/// Computed once per (tensor, data, pipeline) and shared by all strategies that differ in other respects.
public struct LayoutCost: Sendable {
  /// The layout whose groups these are.
  public let layout: ParallelLayout
  let devicesPerNode: Int
  /// The slowest tensor group; all stages wait for theirs.
  public let tensorGroup: CommunicationGroup
  /// The slowest data-parallel group of each stage; one entry if all stages are alike.
  let dataGroups: [CommunicationGroup]
  /// Latency and seconds per byte between stage i and i + 1, the slowest sender and direction; one entry if all boundaries are alike.
  let boundaries: [Boundary]
  /// Between the last stage and the first, for chunks.
  let wrap: Boundary
  /// The slowest pair of a rank of the first and of the last stage, over which tied embeddings are reduced.
  let embeddingGroup: CommunicationGroup

  /// α and β of a point-to-point transfer.
  struct Boundary: Sendable, Equatable {
    let latencySeconds: Double
    let secondsPerByte: Double

    func seconds(byteCount: Double) -> Double { latencySeconds + byteCount * secondsPerByte }

    static let none = Boundary(latencySeconds: 0, secondsPerByte: 0)
  }

  /// - Parameter rings: where data-parallel groups run, if their links are known to be slower than others could be.
  /// - Complexity: O(world size) on a measured cluster or unaligned groups, O(degrees) otherwise.
  public init(_ layout: ParallelLayout, on fabric: Fabric, rings: Fabric? = nil) {
    self.layout = layout
    devicesPerNode = fabric.devicesPerNode
    let t = layout.tensorDegree, d = layout.dataDegree, p = layout.pipelineDegree
    let stageSize = t * d

    func slowest(
      firsts: some Sequence<Int>, stride: Int, count: Int, on fabric: Fabric
    ) -> CommunicationGroup {
      var result = CommunicationGroup.alone
      for first in firsts { result = result.slower(fabric.group(first: first, stride: stride, count: count)) }
      return result
    }

    let tensorIsAligned = fabric.isAligned(t)
    tensorGroup = slowest(
      firsts: tensorIsAligned ? stride(from: 0, to: 1, by: 1) : stride(from: 0, to: layout.worldSize, by: t),
      stride: 1, count: t, on: fabric)
    let stageIsAligned = tensorIsAligned && fabric.isAligned(stageSize)
    dataGroups = (0..<(stageIsAligned ? 1 : p)).map { stage in
      slowest(
        firsts: (stage * stageSize)..<(stage * stageSize + (stageIsAligned ? 1 : t)), stride: t, count: d,
        on: rings ?? fabric)
    }

    func boundary(from stage: Int, distance: Int) -> Boundary {
      // Both ends of a transfer between aligned stages are inside the same instances whichever rank sends.
      let senders = stageIsAligned ? 1 : stageSize
      let first = stage * stageSize
      // Activations go one way, gradients the other, over links that may have been measured to differ.
      func slower(_ byteCount: Double) -> Double {
        max(
          fabric.transferSeconds(first: first, count: senders, distance: distance, byteCount: byteCount),
          fabric.transferSeconds(first: first + distance, count: senders, distance: -distance, byteCount: byteCount))
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
      embeddingGroup = slowest(
        firsts: 0..<(stageIsAligned ? 1 : stageSize), stride: stageSize * (p - 1), count: 2,
        on: fabric)
    }
  }

  /// The data-parallel group of a stage.
  func dataGroup(ofStage stage: Int) -> CommunicationGroup {
    dataGroups.count == 1 ? dataGroups[0] : dataGroups[stage]
  }

  /// The boundary between a stage and the next.
  func boundary(afterStage stage: Int) -> Boundary {
    boundaries.count == 1 ? boundaries[0] : boundaries[stage]
  }
}
