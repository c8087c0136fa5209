import Testing

@testable import Execution

@Suite struct DropoutTests {
  @Test func aTenthIsDroppedAndTheRestScaled() {
    let dropout = Dropout(seed: 1, step: 0, layer: 2, site: .attention)
    var factors = [Float](repeating: 0, count: 1000)
    var dropped = 0
    for position in 0..<100 {
      dropout.fill(&factors, sequence: 4, position: position, range: 0..<1000)
      dropped += factors.count { $0 == 0 }
      #expect(factors.allSatisfy { $0 == 0 || $0 == 1 / (1 - Float(0.1)) })
    }
    // 100,000 draws: the standard deviation is 95.
    #expect(abs(dropped - 10_000) < 400)
  }

  @Test func aMaskIsOfWhatIsDroppedNotOfWhoDropsIt() throws {
    let model = try SmallModels.gpt()
    let dropout = Dropout(seed: 1, step: 0, layer: 2, site: .attention)
    let sequences = MicroBatch(step: 0, sequences: [6, 3])
    let whole = dropout.mask(shard: ModelShard(model: model, sequenceLength: 8, seed: 1), microBatch: sequences)
    let parts = (0..<4).map {
      let shard = ModelShard(
        model: model, sequenceLength: 8, tensorDegree: 4, tensorIndex: $0, usesSequenceParallelism: true, seed: 1)
      return dropout.mask(shard: shard, microBatch: sequences)
    }
    #expect(Matrix(concatenating: parts) == whole)
    // Another grouping of sequences into micro-batches drops the same of sequence 3.
    let alone = dropout.mask(
      shard: ModelShard(model: model, sequenceLength: 8, seed: 1),
      microBatch: MicroBatch(step: 0, sequences: [3]))
    for position in 0..<8 {
      #expect(alone.rows(position..<position + 1) == whole.rows(2 * position + 1..<2 * position + 2))
    }
  }

  @Test func sitesLayersStepsAndSeedsDropOtherElements() {
    let variants = [
      Dropout(seed: 1, step: 0, layer: 2, site: .attention), Dropout(seed: 2, step: 0, layer: 2, site: .attention),
      Dropout(seed: 1, step: 1, layer: 2, site: .attention), Dropout(seed: 1, step: 0, layer: 3, site: .attention),
      Dropout(seed: 1, step: 0, layer: 2, site: .feedForward),
    ]
    let masks = variants.map { dropout in
      var factors = [Float](repeating: 0, count: 200)
      dropout.fill(&factors, sequence: 0, position: 0, range: 0..<200)
      return factors
    }
    for first in masks.indices {
      for second in masks.indices where first < second { #expect(masks[first] != masks[second]) }
    }
  }
}
