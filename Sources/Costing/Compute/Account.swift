import Documents
import Training

/// Seconds of a list of operations on one device by cause, and the collectives between them: a recipe's steps folded.
struct Account: Sendable {
  /// Matrix products of linear layers.
  private(set) var gemmSeconds = 0.0
  private(set) var attentionSeconds = 0.0
  private(set) var lossSeconds = 0.0
  /// By bytes moved: element-wise operations of blocks, rows of the embedding, the final norm.
  private(set) var elementWiseSeconds = 0.0
  /// Adding a micro-batch's gradients to the accumulated ones.
  private(set) var accumulationSeconds = 0.0
  /// Of the matrix products, the gradients of column-parallel layers' inputs: under sequence parallelism the gather of
  /// those inputs, which only the weights' gradients need, runs meanwhile.
  private(set) var columnInputGradientSeconds = 0.0
  /// Those of the tensor group, in the order in which each is first called for.
  private(set) var collectives: [EqualCollectives] = []
  /// Those of ranks that divide a sequence.
  private(set) var contextCollectives: [EqualCollectives] = []
  /// Those of tokens on their way to experts and back.
  private(set) var expertCollectives: [EqualCollectives] = []

  /// What the device computes before gradients are accumulated.
  var seconds: Double { gemmSeconds + attentionSeconds + lossSeconds + elementWiseSeconds }

  /// A pass of a part, added up from the model's input to its output in either
  /// direction, so that equal sums round alike.
  init(_ recipe: Recipe, _ part: Recipe.Part, _ pass: Recipe.Pass, on rates: ComputeRates) {
    self.init(recipe.steps(part, pass), inReverse: pass != .forward && pass != .recompute, on: rates)
  }

  /// - Complexity: O(operations).
  init(_ steps: [Recipe.Step], inReverse: Bool = false, on rates: ComputeRates) {
    let device = rates.device
    // Bytes and parameters first, since all of a kind take equally long.
    var bytes = 0.0, backwardBytes = 0.0, movedBytes = 0.0, parameterCount = 0
    for step in inReverse ? steps.reversed() : steps {
      switch step {
      case .collective(let collective) where collective.ranks == .tensorGroup: collectives.add(collective)
      case .collective(let collective) where collective.traffic == .expert: expertCollectives.add(collective)
      case .collective(let collective): contextCollectives.add(collective)
      case .piece(let piece, let operations):
        // What lies between experts' products is kernels of their own, of other efficiency than those of a block.
        let weight = piece == .experts ? rates.expertElementWiseFactor : rates.elementWiseFactor
        for operation in inReverse ? operations.reversed() : operations {
          switch operation {
          case .product(let layer, .forward): gemmSeconds += device.products(of: layer).forwardSeconds(layer)
          case .product(let layer, .backward):
            let speed = device.products(of: layer)
            let ofInput = speed.inputGradientSeconds(layer)
            gemmSeconds += ofInput + speed.weightGradientSeconds(layer)
            if layer.dividesOutputs { columnInputGradientSeconds += ofInput }
          case .product(let layer, .inputGradient):
            let ofInput = device.products(of: layer).inputGradientSeconds(layer)
            gemmSeconds += ofInput
            if layer.dividesOutputs { columnInputGradientSeconds += ofInput }
          case .product(let layer, .weightGradient):
            gemmSeconds += device.products(of: layer).weightGradientSeconds(layer)
          case .groupedProduct(let layer, let direction):
            let speed = device.products(of: layer)
            gemmSeconds +=
              (direction == .backward ? 2 : 1)
              * (speed.seconds(layer) + Double(layer.expertCount) * rates.expertProductSeconds)
            elementWiseSeconds +=
              speed.castSeconds(layer, isBackward: direction == .backward) * rates.expertElementWiseFactor
          case .fusedAttention(let core, let direction):
            let forward = rates.forwardSeconds(core)
            attentionSeconds += direction == .forward ? forward : 2.5 * forward
          case .headProducts(let products): attentionSeconds += device.seconds(products)
          case .scores(let byteCount): attentionSeconds += Double(byteCount) * device.secondsPerMemoryByte
          case .elementWise(let byteCount, .forward): bytes += Double(byteCount) * weight
          case .elementWise(let byteCount, _): backwardBytes += Double(byteCount) * weight
          case .move(let byteCount): movedBytes += Double(byteCount)
          case .loss(let entryCount):
            lossSeconds += Double(entryCount) * rates.lossBytesPerEntry * device.secondsPerMemoryByte
          case .accumulate(let count): parameterCount += count
          case .keep, .free: break
          }
        }
      }
    }
    elementWiseSeconds +=
      bytes * device.secondsPerMemoryByte + 1.5 * (backwardBytes * device.secondsPerMemoryByte)
      + movedBytes * device.secondsPerMemoryByte
    accumulationSeconds = Double(parameterCount) * rates.accumulationBytesPerParameter * device.secondsPerMemoryByte
  }
}

/// A collective that passes call for several times.
struct EqualCollectives: Sendable {
  let collective: TensorCollective
  var count: Int
}

extension [EqualCollectives] {
  /// Counts a collective with those that move the same bytes in the same way.
  mutating func add(_ collective: TensorCollective, count: Int = 1) {
    // Few kinds: a search costs less than a dictionary.
    let equal = firstIndex {
      $0.collective.kind == collective.kind && $0.collective.ranks == collective.ranks
        && $0.collective.elementCount == collective.elementCount
        && $0.collective.elementByteCount == collective.elementByteCount
        && ($0.collective.operand == .columnInput) == (collective.operand == .columnInput)
    }
    if let equal { self[equal].count += count } else { append(EqualCollectives(collective: collective, count: count)) }
  }
}

/// What a recipe's operations are priced by: a device, and a framework's kernels on it.
struct ComputeRates: Sendable {
  let device: DeviceSpeed
  /// Time of a block's element-wise operations over that of their bytes.
  let elementWiseFactor: Double
  /// The same of those between experts' products.
  let expertElementWiseFactor: Double
  /// What an expert adds to each of its products.
  let expertProductSeconds: Double
  /// Of what a score takes in heads of 128 numbers, what narrower ones do not save; and keys that windows take beside their own.
  let attentionNarrowHeadShare, attentionWindowKeys: Double
  /// Bytes that the loss moves for each logit, forward, and as many backward.
  let lossBytesPerEntry: Double
  /// Bytes that adding a gradient moves: it is read, and what it is added to is read and written.
  let accumulationBytesPerParameter: Double

  init(
    device: DeviceSpeed, elementWiseFactor: Double, expertElementWiseFactor: Double? = nil, lossBytesPerEntry: Double,
    accumulationBytesPerParameter: Double
  ) {
    self.device = device
    self.elementWiseFactor = elementWiseFactor
    self.expertElementWiseFactor = expertElementWiseFactor ?? elementWiseFactor
    expertProductSeconds = 0
    (attentionNarrowHeadShare, attentionWindowKeys) = (0, 0)
    self.lossBytesPerEntry = lossBytesPerEntry
    self.accumulationBytesPerParameter = accumulationBytesPerParameter
  }

  init(_ device: DeviceSpeed, framework: DeviceProfile.Framework, job: TrainingJob) {
    self.device = device
    elementWiseFactor = framework.elementWiseFactor
    // Where a whole iteration is a graph, experts are one kernel: products, activation and casts (Megatron-LM's fused
    // grouped feed-forward part, which wants rows that are known before).
    let areOneKernel = job.graphs == .fullIteration
    expertElementWiseFactor = areOneKernel ? framework.elementWiseFactor : framework.expertElementWiseFactor
    expertProductSeconds = areOneKernel ? 0 : framework.expertProductSeconds
    attentionNarrowHeadShare = framework.attentionNarrowHeadShare
    attentionWindowKeys = framework.attentionWindowKeys
    lossBytesPerEntry = framework.logitsTrafficBytesPerEntry
    accumulationBytesPerParameter =
      Double(job.precision.byteCount + 2 * job.gradientByteCount) * framework.gradientAccumulationFactor
  }

  /// Fused attention, forward. Of a score φ is not by the head's width: a head of d < 128 numbers takes 1 + φ·(128/d − 1) times as
  /// long for each FLOP.
  func forwardSeconds(_ core: FusedAttention) -> Double {
    let narrow = 1 + attentionNarrowHeadShare * max(0, 128 / core.headSize - 1)
    let format = core.isNarrow && core.queryHeadSize > 128 ? device.fp8WideHeadAttentionFactor : 1
    return core.forwardFLOP(windowKeyCount: attentionWindowKeys) * narrow * format * device.secondsPerAttentionFLOP
  }
}
