/// Logs in the form in which people hand them in, with invented numbers that agree as they do in the tools.
enum FieldLog {
  /// An all-reduce of four ranks on two nodes, as nccl-tests 2.13 to 2.16 print it: the program is not named.
  static let allReduce = """
    # nThread 1 nGpus 1 minBytes 1048576 maxBytes 8388608 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0
    #
    # Using devices
    #  Rank  0 Group  0 Pid   1887 on   worker-0 device  0 [0x8d] NVIDIA H100 80GB HBM3
    #  Rank  1 Group  0 Pid   1888 on   worker-0 device  1 [0x91] NVIDIA H100 80GB HBM3
    #  Rank  2 Group  0 Pid   1889 on   worker-1 device  0 [0x95] NVIDIA H100 80GB HBM3
    #  Rank  3 Group  0 Pid   1890 on   worker-1 device  1 [0x99] NVIDIA H100 80GB HBM3
    #
    #                                                              out-of-place                       in-place
    #       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
    #        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
         1048576        262144     float     sum      -1    113.2    9.26   13.89      0    110.1    9.52   14.29      0
         2097152        524288     float     sum      -1    140.3   14.95   22.42      0    139.8   15.00   22.50      0
         4194304       1048576     float     sum      -1    205.6   20.40   30.60      0    204.1   20.55   30.83      0
         8388608       2097152     float     sum      -1    330.2   25.40   38.11      0    329.5   25.46   38.19      0
    # Out of bounds values : 0 OK
    # Avg bus bandwidth    : 26.3539
    #
    """

  /// A table of nccl-tests from 2.17 on: the program is named before and after.
  static func table(
    _ program: String, hosts: [String] = ["alpha", "alpha", "alpha", "alpha"], redop: String = "sum",
    rows: [(size: Int, microseconds: Double, factor: Double)], wrong: Int = 0, wrongInPlace: String = "0"
  ) -> String {
    func half(_ row: (size: Int, microseconds: Double, factor: Double), _ wrong: String) -> String {
      let algorithm = Double(row.size) / row.microseconds / 1e3
      let rates = [algorithm, algorithm * row.factor].map { "\(($0 * 100).rounded() / 100)" }
      return "  \(row.microseconds)  \(rates[0])  \(rates[1])  \(wrong)"
    }
    let devices = hosts.enumerated().map { "#  Rank  \($0) Group  0 Pid  3000 on  \($1) device  0 [0000:0a:00] GPU" }
    let lines = rows.map {
      "  \($0.size)  \($0.size / 4)  float  \(redop)  -1\(half($0, "\(wrong)"))\(half($0, wrongInPlace))"
    }
    return
      ([
        "# nccl-tests version 2.17.8 nccl-headers=22803 nccl-library=22803",
        "# Collective test starting: \(program)_perf",
        "# nThread 1 nGpus 8 minBytes 1048576 maxBytes 1073741824 step: 4(factor) warmup iters: 1 iters: 20",
        "# Using devices",
      ] + devices + [
        "#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong",
        "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)",
      ] + lines + [
        "# Out of bounds values : \(wrong) \(wrong == 0 ? "OK" : "FAILED")", "# Avg bus bandwidth    : 1",
        "# Collective test concluded: \(program)_perf", "",
      ]).joined(separator: "\n")
  }

  /// Two processes of nccl-tests without MPI: each is rank 0 of 1.
  static let loneRanks = """
    # nThread 1 nGpus 1 minBytes 1310720000 maxBytes 1310720000 step: 1048576(bytes) warmup iters: 5 iters: 20 validation: 1
    # Using devices
    # nThread 1 nGpus 1 minBytes 1310720000 maxBytes 1310720000 step: 1048576(bytes) warmup iters: 5 iters: 20 validation: 1
    # Using devices
    #   Rank  0 Pid   1320 on   node-b device  0 [0x00] Tesla V100-SXM2-16GB
    #   Rank  0 Pid   2066 on   node-a device  0 [0x00] Tesla V100-SXM2-16GB
    #       size         count      type   redop     time   algbw   busbw  error     time   algbw   busbw  error
    #        (B)    (elements)                       (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
    #       size         count      type   redop     time   algbw   busbw  error     time   algbw   busbw  error
    #        (B)    (elements)                       (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
      1310720000     327680000     float     sum   3210.1  408.31    0.00  0e+00     3.21  408311    0.00  0e+00
      1310720000     327680000     float     sum   3215.4  407.64    0.00  0e+00     3.18  412175    0.00  0e+00
    # Out of bounds values : 0 OK
    # Avg bus bandwidth    : 0
    # Out of bounds values : 0 OK
    """

  /// nccl-tests that ended before its first row.
  static let failed = """
    # nThread 1 nGpus 1 minBytes 8 maxBytes 4096 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0
    # Using devices
    #  Rank  0 Group  0 Pid 895544 on     node-a device  0 [0002:00:01] NVIDIA H100 80GB HBM3
    #  Rank  1 Group  0 Pid 895552 on     node-b device  0 [0002:00:01] NVIDIA H100 80GB HBM3
    node-b: Test NCCL failure common.cu:1005 'remote process exited or there was a network error / '
     .. node-b pid 739786: Test failure common.cu:891
    --------------------------------------------------------------------------
    mpirun detected that one or more processes exited with non-zero status
    """

  /// One run of `ib_write_bw` over RoCE, its two ends by the last part of their addresses.
  static func perftest(from: Int, to: Int, gigabits: Double) -> String {
    """
    ---------------------------------------------------------------------------------------
                        RDMA_Write BW Test
     Dual-port       : OFF\t\tDevice         : mlx5_2
     Link type       : Ethernet
     GID index       : 3
    ---------------------------------------------------------------------------------------
     local address: LID 0000 QPN 0x00e\(from) PSN 0x7f3b1d RKey 0x00773c VAddr 0x0001001e010000
     GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:00:00:0\(from)
     remote address: LID 0000 QPN 0x00e\(to) PSN 0x14accf RKey 0x0041ac VAddr 0x0001001e010000
     GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:00:00:0\(to)
    ---------------------------------------------------------------------------------------
     #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
     65536      5000             \(gigabits)              \(gigabits)  \t\t   0.176216
    ---------------------------------------------------------------------------------------

    """
  }

  /// p2pBandwidthLatencyTest of two devices.
  static let p2p = """
    [P2P (Peer-to-Peer) GPU Bandwidth Latency Test]
    Device: 0, NVIDIA H100 NVL, pciBusID: 17, pciDeviceID: 0, pciDomainID:0
    Device: 1, NVIDIA H100 NVL, pciBusID: 65, pciDeviceID: 0, pciDomainID:0
    Device=0 CAN Access Peer Device=1
    Device=1 CAN Access Peer Device=0

    P2P Connectivity Matrix
         D\\D     0     1
         0\t     1     1
         1\t     1     1
    Unidirectional P2P=Disabled Bandwidth Matrix (GB/s)
       D\\D     0      1
         0 3200.00  40.00
         1  41.00 3210.00
    Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)
       D\\D     0      1
         0 3200.00 250.00
         1 260.00 3210.00
    Unidirectional P2P=Enabled Bandwidth (P2P Reads) Matrix (GB/s)
       D\\D     0      1
         0 3200.00 251.00
         1 261.00 3210.00
    Bidirectional P2P=Enabled Bandwidth Matrix (GB/s)
       D\\D     0      1
         0 3200.00 500.00
         1 510.00 3210.00
    P2P=Enabled Latency (P2P Writes) Matrix (us)
       GPU     0      1
         0   2.00   1.50
         1   1.75   2.00

       CPU     0      1
         0   2.00   9.00
         1   9.00   2.00

    NOTE: The CUDA Samples are not meant for performance measurements. Results may vary when GPU Boost is enabled.
    """

  /// `rocm-smi --showtopo` of four devices in two islands.
  static let rocmTopology = """
    ============================ ROCm System Management Interface ============================
    ================================ Weight between two GPUs =================================
           GPU0         GPU1         GPU2         GPU3
    GPU0   0            15           40           40
    GPU1   15           0            40           40
    GPU2   40           40           0            15
    GPU3   40           40           15           0

    =============================== Link Type between two GPUs ===============================
           GPU0         GPU1         GPU2         GPU3
    GPU0   0            XGMI         PCIE         PCIE
    GPU1   XGMI         0            PCIE         PCIE
    GPU2   PCIE         PCIE         0            XGMI
    GPU3   PCIE         PCIE         XGMI         0

    ======================================= Numa Nodes =======================================
    GPU[0]\t\t: (Topology) Numa Node: 0
    ================================== End of ROCm SMI Log ===================================
    """

  /// All of them; each begins a fuzz.
  static let all: [(name: String, text: String)] = [
    ("fieldAllReduce", allReduce), ("loneRanks", loneRanks), ("failed", failed), ("p2p", p2p),
    ("rocmTopology", rocmTopology),
    (
      "suite",
      table("all_gather", redop: "none", rows: [(1 << 20, 40, 0.75)]) + table("all_reduce", rows: [(1 << 20, 80, 1.5)])
    ),
    ("twoRuns", perftest(from: 3, to: 4, gigabits: 92) + perftest(from: 5, to: 6, gigabits: 90)),
    ("labelled", allReduce.split(separator: "\n").map { "0: \($0)" }.joined(separator: "\n")),
    (
      "tagged",
      allReduce.split(separator: "\n").map { "2026-01-31T10:11:12.123456789Z [1,0]<stdout>:\($0)" }.joined(
        separator: "\n")
    ),
    ("quoted", "> ```\n" + allReduce.split(separator: "\n").map { "> [0] \($0)" }.joined(separator: "\n") + "\n> ```"),
  ]
}
