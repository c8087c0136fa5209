import Execution
import Glibc

extension Benchmarks {
  /// Rates of the executor's matrix products on one core: forward, gradient of the input, gradient of the weight.
  static func reportMatrixProducts() {
    for (tokens, inputs, outputs) in [(16, 16, 16), (32, 32, 64), (64, 64, 256), (256, 256, 256), (512, 512, 512)] {
      let rates = productRates(tokens: tokens, inputs: inputs, outputs: outputs)
      print(
        "  \(tokens) tokens, \(inputs) inputs, \(outputs) outputs: "
          + rates.map { "\(($0 / 1e8).rounded() / 10)" }.joined(separator: ", ") + " GFLOP/s")
    }
  }

  /// FLOP per CPU second of the three products of a linear layer, allocation of the result included; medians of five.
  private static func productRates(tokens: Int, inputs: Int, outputs: Int) -> [Double] {
    let x = matrix(tokens, inputs), d = matrix(tokens, outputs)
    let weight = matrix(outputs, inputs).elements
    var gradient = weight
    let range = 0..<inputs * outputs
    let count = max(1, 400_000_000 / (2 * tokens * inputs * outputs))
    var used: Float = 0
    let products: [() -> Void] = [
      { used += x.timesTransposed(weight, range).elements[0] },
      { used += d.times(weight, range).elements[0] },
      { d.addTransposedProduct(with: x, to: &gradient, range) },
    ]
    let rates = products.map { product in
      let seconds = (0..<5).map { _ in
        let start = processorSeconds()
        for _ in 0..<count { product() }
        return processorSeconds() - start
      }
      return Double(2 * tokens * inputs * outputs * count) / seconds.sorted()[2]
    }
    // The sum depends on every product, so that none is left out.
    precondition(!(used + gradient[0]).isNaN)
    return rates
  }

  private static func matrix(_ rows: Int, _ columns: Int) -> Matrix {
    Matrix(
      rowCount: rows, columnCount: columns,
      elements: (0..<rows * columns).map { Float($0 * 37 % 101) / 101 - 0.5 })
  }

  /// CPU seconds of this thread, which other work on the machine does not lengthen.
  private static func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
