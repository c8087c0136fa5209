import JSONText
import Testing

@testable import Documents

/// What optimizers keep, in bytes, and how they are written.
@Suite struct OptimizerTests {
  /// Of a matrix of a layer: the states of a parameter under bf16.
  @Test(arguments: [
    (Optimizer(), 12), (Optimizer(moments: .bf16), 8), (Optimizer(moments: .bf16, masterWeights: .none), 4),
    (Optimizer(moments: .bf16, masterWeights: .remainders), 6), (Optimizer(.sgd), 4), (Optimizer(.momentum), 8),
    (Optimizer(.sgd, masterWeights: .none), 0),
  ])
  func statesOfAParameter(optimizer: Optimizer, byteCount: Int) {
    #expect(optimizer.byteCountPerParameter(.bf16) == byteCount)
    // In fp32 the weights are exact themselves.
    #expect(
      optimizer.byteCountPerParameter(.fp32)
        == byteCount - (optimizer.masterWeights == .none ? 0 : optimizer.masterWeights.byteCount))
  }

  @Test func eightBitMomentsHaveAScaleForEvery256() {
    #expect(Optimizer.Moments.int8.byteCount(elementCount: 1024) == 1024 + 4 * 4)
    #expect(Optimizer.Moments.int8.byteCount(elementCount: 257) == 257 + 2 * 4)
  }

  /// Muon keeps one moment of what is orthogonalised, Adafactor rows and columns.
  @Test func matricesAndVectorsDiffer() {
    #expect(Optimizer(.muon).momentCount(parameterCount: 100, matrixCount: 60, factorCount: 0) == 140)
    #expect(Optimizer(.adafactor).momentCount(parameterCount: 100, matrixCount: 60, factorCount: 17) == 17)
  }

  @Test(arguments: Optimizer.Rule.allCases)
  func isReadAsItIsWritten(rule: Optimizer.Rule) throws {
    for moments in Optimizer.Moments.allCases {
      for masters in Optimizer.MasterWeights.allCases {
        for isPaged in [false, true] {
          let optimizer = Optimizer(rule, moments: moments, masterWeights: masters, isPaged: isPaged)
          let read = Result { () throws(DocumentError) in
            try Optimizer(Field(optimizer.json, source: "test"), precision: .bf16)
          }
          if optimizer.contradiction(.bf16) == nil {
            #expect(try read.get() == optimizer)
          } else {
            #expect(throws: DocumentError.self) { try read.get() }
          }
        }
      }
    }
    #expect(Optimizer(rule).json == .string(rule.rawValue))
  }

  @Test func whatMakesNoSenseIsRefused() {
    #expect(Optimizer(masterWeights: .remainders).contradiction(.fp16)?.contains("bf16") == true)
    #expect(Optimizer(.sgd, moments: .bf16).contradiction(.bf16) != nil)
    #expect(Optimizer(masterWeights: .none).contradiction(.fp16) == nil)
  }
}
