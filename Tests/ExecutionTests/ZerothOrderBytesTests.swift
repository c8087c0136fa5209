import Testing
import Training

@testable import Documents
@testable import Execution

/// What crosses links in an iteration, by formulas of its own: check 5.
@Suite struct ZerothOrderBytesTests {
  typealias Layout = ZerothOrderLayout

  private func bytes(_ run: Layout.Result, _ kind: TrafficKind, from rank: Int) -> Int {
    let kinds = TrafficKind.allCases.count
    return run.sentBytes.indices.reduce(0) { $0 + run.sentBytes[rank][$1 * kinds + kind.index] }
  }

  /// A loss is 4 bytes, and N ranks send each of 2q losses N − 1 times to where it is added up and N − 1 times back.
  @Test(arguments: [
    Layout(data: 2), Layout(data: 4, perturbation: 2), Layout(data: 4, perturbation: 4, directions: 2),
    Layout(tensor: 2, pipeline: 2, data: 2, perturbation: 2),
  ])
  func losesAreAllThatReplicasSend(layout: Layout) throws {
    let run = try layout.run(), ranks = layout.strategy.worldSize
    let control = (0..<ranks).reduce(0) { $0 + bytes(run, .control, from: $1) }
    #expect(control == 2 * layout.directions * 2 * (ranks - 1) * 4)
    for rank in 0..<ranks {
      #expect(bytes(run, .data, from: rank) == 0)
      #expect(bytes(run, .embedding, from: rank) == 0)
    }
  }

  /// Every layer on the host comes once and leaves once, of each rank its slice: L · S / w.
  @Test(arguments: [
    Layout(hosted: 4), Layout(hosted: 2), Layout(data: 2, hosted: 4), Layout(data: 4, slices: 2, hosted: 3),
    Layout(data: 4, perturbation: 2, slices: 4, hosted: 4), Layout(tensor: 2, data: 2, slices: 2, hosted: 4),
  ])
  func layersCrossTheHostLinkOnceEachWay(layout: Layout) throws {
    let run = try layout.run(), job = try layout.job()
    let layer = job.model.layerParameters(.dense).perRank(tensorDegree: layout.tensor)
    for rank in 0..<layout.strategy.worldSize {
      let slice = rank / layout.tensor % layout.slices
      let count = layer / layout.slices + (slice < layer % layout.slices ? 1 : 0)
      #expect(run.uploadedBytes[rank] == (layout.hosted ?? 0) * count * 4)
      #expect(run.offloadedBytes[rank] == (layout.hosted ?? 0) * count * 4)
    }
  }

  /// Stages of a pipeline take their layers up again for every micro-batch; they change in the first visit only.
  @Test func stagesTakeLayersUpForEveryMicroBatch() throws {
    let layout = Layout(pipeline: 2, data: 2, hosted: 2)
    let run = try layout.run(), layer = try layout.job().model.layerParameters(.dense).perRank(tensorDegree: 1)
    for rank in 0..<4 {
      #expect(run.uploadedBytes[rank] == 4 * 2 * layer * 4)
      #expect(run.offloadedBytes[rank] == 2 * layer * 4)
    }
  }

  /// Each rank passes w − 1 slices round for every part that is gathered, the embedding's again where a tied head uses it.
  @Test(arguments: [2, 4])
  func slicesAreGatheredOnceAVisit(slices: Int) throws {
    let layout = Layout(data: 4, perturbation: 2, slices: slices, hosted: 4)
    let run = try layout.run(), shape = try layout.shape()
    // A ring passes on every slice but the next rank's own.
    let counts = [ModelPart.embedding, .embedding, .layer(0), .layer(1), .layer(2), .layer(3), .head].map(
      shape.parameterCount)
    for rank in 0..<4 {
      let next = (rank + 1) % slices
      let expected = counts.reduce(0) { sum, count in
        sum + count - (count / slices + (next < count % slices ? 1 : 0))
      }
      #expect(bytes(run, .data, from: rank) == expected * 4)
    }
  }

  /// What crosses a stage boundary is of all losses that a rank evaluates.
  @Test func activationsOfAllLossesTravelTogether() throws {
    for (layout, losses) in [
      (Layout(pipeline: 2), 2), (Layout(pipeline: 2, data: 2, perturbation: 2), 1),
      (Layout(pipeline: 2, directions: 3), 6),
    ] {
      let run = try layout.run()
      let microBatches = layout.strategy.microBatchCount(globalBatch: 8)
      #expect(bytes(run, .pipeline, from: 0) == microBatches * losses * 8 * 16 * 4, "\(layout.testDescription)")
      #expect(bytes(run, .pipeline, from: layout.strategy.worldSize - 1) == 0)
    }
  }
}
