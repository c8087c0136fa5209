import JSONText

/// Outputs that people hand in and that are not read: what each is, and what to hand in instead.
enum UnreadFormat {
  /// What a line contains, what that is of, and what says what is wanted.
  private static let known: [(sign: String, name: String, instead: String)] = [
    (
      "iperf", "iperf",
      "it measures TCP between two hosts: use sextant profile links, or ib_write_bw on InfiniBand or RoCE"
    ),
    (
      "[ ID] Interval", "iperf",
      "it measures TCP between two hosts: use sextant profile links, or ib_write_bw on InfiniBand or RoCE"
    ),
    ("[CUDA Bandwidth Test]", "bandwidthTest of the CUDA samples", "use nvbandwidth or p2pBandwidthLatencyTest"),
    ("RocmBandwidthTest", "rocm-bandwidth-test", "use rccl-tests"),
    ("TransferBench v", "TransferBench", "use rccl-tests"),
    ("NVIDIA-SMI ", "nvidia-smi without arguments", "use nvidia-smi topo -m"),
    ("CA 'mlx", "ibstat", "it says what a port could do: use ib_write_bw for rates, ibnetdiscover for structure"),
    ("hca_id:", "ibv_devinfo", "it says what a port could do: use ib_write_bw for rates, ibnetdiscover for structure"),
    ("SwitchName=", "scontrol show topology", "use the file topology.conf"),
    ("NCCL INFO", "a log of NCCL's own messages, without a test's table", "use the output of nccl-tests"),
    ("Comm. Op", "DeepSpeed's communication log", "use nccl-tests"),
    ("Machine (", "lstopo", "use nvidia-smi topo -m, or NCCL's XML of NCCL_TOPO_DUMP_FILE"),
  ]

  /// What is said of a text that no reader knows.
  static func sentence(of text: ToolText, first: String) -> String {
    for line in text.lines.prefix(2_000) {
      if let entry = known.first(where: { line.contains($0.sign) }) {
        return "recognised as \(entry.name), which is not read; \(entry.instead)"
      }
    }
    var result = "not recognised: it begins with \(JSON.string(String(first.prefix(40))).briefDescription)"
    if let prefix = commonPrefix(of: text) {
      result +=
        ", and its lines share a prefix that is not known, \(JSON.string(prefix).briefDescription): cut that off"
    }
    return result + text.failureQuotation
      + "; expected what nccl-tests, OSU, perftest, mpiGraph, nvbandwidth or p2pBandwidthLatencyTest measured, or "
      + "structure of nvidia-smi topo -m, NCCL's XML, Slurm or ibnetdiscover (docs/inputs.md), or --format"
  }

  /// What all lines that are not blank begin with, up to the last sign that ends a prefix.
  private static func commonPrefix(of text: ToolText) -> String? {
    let lines = text.lines.filter { !$0.words.isEmpty }.prefix(200)
    guard lines.count > 2, let first = lines.first else { return nil }
    var common = first[...]
    for line in lines { common = common[..<zipEnd(common, line)] }
    guard let end = common.lastIndex(where: { ":]|>)".contains($0) }) else { return nil }
    return String(common[...end].prefix(40))
  }

  private static func zipEnd(_ left: Substring, _ right: String) -> Substring.Index {
    var index = left.startIndex
    for character in right {
      guard index < left.endIndex, left[index] == character else { break }
      index = left.index(after: index)
    }
    return index
  }
}
