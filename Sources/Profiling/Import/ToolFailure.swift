import Documents

/// Lines by which tools and launchers say that a test did not end well.
enum ToolFailure {
  /// What such lines contain: of nccl-tests (`src/common.h`), perftest, nvbandwidth and CUDA samples, and of `srun`,
  /// `mpirun` and the shell.
  private static let signs = [
    "Test NCCL failure", "Test CUDA failure", "Test failure", "DATA VALIDATION ERROR", "Completion with error",
    "Failed status",
    "Couldn't connect to", "Unable to init", "Unable to write to socket", "Couldn't get device attributes",
    "[CUDA error]",
    "Cuda failure", "CUDA error", "srun: error:", "slurmstepd: error:", "mpirun noticed", "mpirun detected",
    "mpiexec detected", "MPI_ABORT was invoked", "exited on signal", "Segmentation fault", "BAD TERMINATION",
    "DUE TO TIME LIMIT", "This test requires exactly two processes",
  ]

  static func isFailure(_ line: String) -> Bool {
    // Most lines are numbers.
    line.utf8.count >= 12 && line.contains { $0 == "l" || $0 == "r" || $0 == "E" || $0 == "T" }
      && signs.contains { line.contains($0) }
  }
}

extension ToolText {
  /// The first line that says that something failed, quoted for a complaint; empty where none does.
  var failureQuotation: String {
    guard let index = lines.firstIndex(where: ToolFailure.isFailure) else { return "" }
    return "; line \(number(index)) says: \(quotation(index))"
  }

  /// A line as a complaint or a note quotes it.
  func quotation(_ index: Int) -> String { lines[index].words.joined(separator: " ").oneLine.prefix(160).description }
}
