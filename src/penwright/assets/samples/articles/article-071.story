A widow in Cockle Row who knits one line a day in the colour of the sky has been asked by scientists if they may see her scarf.

Nora Fallow, 79, began on the first of January 1987, when her husband went to sea on a long voyage and she wished to be able to show him what he had missed. It is now four hundred and eleven feet long and lives in a chest of drawers, and in a second.

Climate researcher Dr Benedict Yorke, 35, heard of it from his aunt. There are gaps in the official record for this coast, he said, where instruments failed, or someone was on holiday. Mrs Fallow had never been on holiday.

Her greys alone run to thirty-one shades. He was able to find the great gale, the dry summer, and a week in 1991 when a volcano far away made the evenings green.

He asked about a stretch of fourteen inches in bright yellow, in what had been a terribly wet spring. She told him that it was when her husband was home.

The entire length is to be photographed. She has asked them to be quick, as it is getting on for dusk, and she has today's to do.

@highlight

Nora Fallow has knitted a line in the sky's colour daily since 1987

@highlight

Scientists want the scarf to fill gaps in local weather records

@highlight

One bright yellow stretch marks when her husband was home from sea
